"""Guards: what may stand in one, on a step, a tool and an agent, and what is refused before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from counterstep import Agent, Bundle, DefinitionError, Effect, SpecError, Subject, Verdict
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.saga.spec.checker import check_spec
from counterstep.saga.spec.graph import reads

gate = Bundle("gate")


@gate.validator
async def polite(subject: Subject) -> Verdict:
    return Verdict.accept("polite")


@gate.tool(effect=Effect.READ_ONLY, guard=["arguments.n < 10", polite, {"check": "polite"}])
async def count(n: int) -> int:
    return n


@gate.agent(
    effect=Effect.READ_ONLY, guard=[{"rule": "input.n > 0", "message": "${{ input.n }} of ${{ task }}"}]
)
async def thinker(n: int) -> int:
    return n


gate.add(
    Agent(
        name="clerk",
        description="",
        instructions="",
        model="openai/clerk",
        tools=[count],
        guard=[{"judge": {"model": "openai/strict", "criteria": "No orders: ${{ agent.name }}"}}],
    )
)
CATALOG = Registry([gate]).catalog


def faults(*found: dict[str, Any]) -> list[str]:
    steps = [{"id": f"s{number}", "agent": "gate.clerk"} | step for number, step in enumerate(found)]
    try:
        return [str(fault) for fault in check_spec(parse_spec({"name": "x", "steps": steps}), CATALOG)]
    except SpecError as error:
        return [str(fault) for fault in error.faults]


def test_what_is_declared_names_validators_in_full_and_travels_with_its_tool() -> None:
    assert [(guard.rule, guard.check) for guard in CATALOG.tools["gate.count"].guard] == [
        ("arguments.n < 10", None),
        (None, "gate.polite"),
        (None, "gate.polite"),
    ]
    part = CATALOG.only(tools=["gate.count"], agents=[], validators=[])
    assert list(part.validators) == ["gate.polite"]


def test_a_guard_of_a_step_reads_its_input_and_what_came_before() -> None:
    guard = [{"rule": "input.n == steps.s1.output"}, {"check": "gate.polite"}]
    step = {"agent": None, "tool": "gate.count", "input": {"n": 1}}
    assert faults({**step, "guard": guard}, step) == []
    spec = parse_spec(
        {"name": "x", "steps": [{"id": "s0", "tool": "gate.count", "input": {}, "guard": guard}]}
    )
    assert list(reads(spec.steps[0])) == ["s1"], "and waits for it"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            {
                "guard": [
                    {"rule": "output.n > 1"},
                    {"rule": "input."},
                    {"rule": "tusk.x"},
                    {"check": "gate.polit"},
                ]
            },
            [
                "steps[0].guard[0].rule: output.n can be read in a validation only",
                "steps[0].guard[1].rule: 'input.' does not parse",
                "steps[0].guard[2].rule: 'tusk.x': there is no 'tusk' to read; did you mean 'task'?",
                "steps[0].guard[3].check: there is no validator 'gate.polit'; did you mean 'gate.polite'?",
            ],
        ),
        (
            {"guard": [{"rule": "true", "check": "gate.polite"}, {"judge": {"model": "m"}}, {"rul": "x"}]},
            [
                "steps[0].guard[1].judge.criteria: 'criteria' is missing",
                "steps[0].guard[2].rul: there is no key 'rul' here; did you mean 'rule'?",
                "steps[0].guard[0]: say exactly one of rule, check and judge",
            ],
        ),
        (
            {"guard": [{"judge": {"model": ["openai/x", "azure/clerk"], "criteria": "good"}}]},
            ["steps[0].guard[0].judge.model: openai/clerk is a model of the step too; a judge must differ"],
        ),
        (
            {"on_failure": [{"model": "openai/strict"}]},
            ["steps[0]: openai/strict is named in a ladder, and judges in the guard of gate.clerk"],
        ),
        (
            {"agent": None, "approve": {"ask": "?"}, "guard": [{"rule": "true"}]},
            ["steps[0]: approve has no guard; it only waits"],
        ),
        (
            {
                "agent": None,
                "group": {"steps": [{"id": "i", "agent": "gate.clerk"}]},
                "guard": [{"rule": "true"}],
            },
            ["steps[0]: a group has no guard; its steps have"],
        ),
    ],
)
def test_faults_of_a_step(step: dict[str, Any], expected: list[str]) -> None:
    found = faults(step)
    assert len(found) == len(expected), found
    for start in expected:
        assert any(fault.startswith(start) for fault in found), found


def _with(declare: Callable[[Bundle], Any]) -> list[str]:
    bundle = Bundle("b")
    try:
        declare(bundle)
        Registry([bundle])
    except DefinitionError as error:
        return str(error).splitlines()
    return []


def _tool(bundle: Bundle, *guard: Any, **more: Any) -> None:
    @bundle.tool(effect=Effect.READ_ONLY, guard=list(guard), **more)
    async def look(what: str) -> str:
        return what


def _agent(bundle: Bundle, *guard: Any, **more: Any) -> None:
    said = {"description": "", "instructions": "", "model": "openai/own", **more}
    bundle.add(Agent(name="a", guard=list(guard), **said))


def test_every_fault_of_a_declared_guard_is_told_at_once() -> None:
    assert _with(lambda b: _tool(b, {"rule": ""}, 7, {"judge": {"model": "m"}})) == [
        "tool b.look: guard[0]: rule: Value should have at least 1 item after validation, not 0",
        "tool b.look: guard[1]: 7 is not a validator of a bundle, a rule or a mapping",
        "tool b.look: guard[2]: judge.criteria: Field required",
    ]
    found = _with(lambda b: _tool(b, "arguments.wat == 1", "steps.x.output", "input.", {"check": "nope"}))
    expected = [
        "guard[0].rule: arguments.wat: the input of b.look has no 'wat'; did you mean 'what'?",
        "guard[1].rule: steps.x.output cannot be read here; there are input, arguments, agent, task",
        "guard[2].rule: 'input.' does not parse: line 1, column 7: ",
        "guard[3].check: there is no validator 'b.nope'",
    ]
    assert len(found) == len(expected), found
    for fault, start in zip(found, expected, strict=True):
        assert fault.startswith(f"tool b.look: {start}")


def test_who_judges_an_input_is_not_whom_it_is_for_nor_who_has_made_it() -> None:
    judged = {"judge": {"model": "azure/own", "criteria": "good"}}
    assert _with(lambda b: _agent(b, judged)) == [
        "agent b.a: guard[0].judge.model: openai/own is a model of the agent too; a judge must differ"
    ]

    def both(bundle: Bundle) -> None:
        _tool(bundle, judged)
        _agent(bundle, tools=["look"])

    assert _with(both) == [
        "tool b.look: guard[0].judge.model: openai/own is a model of an agent that may call it too; "
        "a judge must differ"
    ]


@pytest.mark.parametrize("guard", ["input.n > 0", {"rule": "true"}, 3])
def test_a_guard_is_a_list(guard: Any) -> None:
    [fault] = _with(lambda b: b.add(Agent(name="a", description="", instructions="", guard=guard)))
    assert fault == "agent b.a: guard must be a list of validators, rules, or mappings as in a spec"
