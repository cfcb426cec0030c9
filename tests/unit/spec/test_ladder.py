"""What follows a failure, one thing after the other: what a ladder may say, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep import Agent, Bundle, Effect, SpecError, Undo
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.saga.spec.checker import check_spec
from counterstep.saga.spec.failure_policy import rungs_of
from counterstep.saga.spec.rules.pivot_rules import effects_of
from counterstep.saga.spec.task_spec import Step
from counterstep.teams import Concurrent

inn = Bundle("inn")


@inn.tool(compensate="give_back")
async def take(what: str = "") -> str:
    return what


@inn.compensation
async def give_back(undo: Undo[str]) -> None: ...


@inn.tool(effect=Effect.READ_ONLY)
async def guess(what: str = "") -> str:
    return what


@inn.tool(effect=Effect.READ_ONLY)
async def measure(width: int) -> str:
    return str(width)


@inn.tool(effect=Effect.PIVOT)
async def sell(what: str = "") -> str:
    return what


@inn.agent(effect=Effect.READ_ONLY)
async def sums(what: str = "") -> str:
    return what


for name in ("host", "cook"):
    inn.add(
        Agent(name=name, description="", instructions="", model=f"openai/{name}", tools=[take], output=str)
    )
inn.add(Concurrent(name="crew", description="Two.", members=["host", "cook"], output=str))

CATALOG = Registry([inn]).catalog
JUDGED = [{"judge": {"model": "openai/strict", "criteria": "good"}}]


def spec_of(*found: dict[str, Any]) -> Any:
    steps = [{"id": f"s{number}", "agent": "inn.host"} | step for number, step in enumerate(found)]
    return parse_spec({"name": "x", "steps": steps})


def faults(*found: dict[str, Any]) -> list[str]:
    try:
        return [str(fault) for fault in check_spec(spec_of(*found), CATALOG)]
    except SpecError as error:
        return [str(fault) for fault in error.faults]


def test_a_ladder_of_every_kind_of_rung_passes() -> None:
    ladder = [
        {"model": "openai/a"},
        {"model": ["openai/b", "openai/c"]},
        {"fallback": "inn.cook"},
        {"rule": "inn.guess"},
        {"rule": "inn.sums"},
        {"escalate": {"roles": ["lead"]}},
    ]
    again = [{"fallback": "inn.cook"}, {"retry_from": "s0", "then": [{"rule": "inn.guess"}, "skip"]}]
    assert faults({"on_failure": ladder, "on_reject": again}) == []


@pytest.mark.parametrize("alone", ["skip", {"model": "openai/a"}, {"rule": "inn.sums"}, {"retry_from": "s0"}])
def test_one_thing_alone_is_a_ladder_of_one_rung(alone: Any) -> None:
    assert faults({"on_failure": alone}) == []
    [step] = spec_of({"on_failure": alone}).steps
    [listed] = spec_of({"on_failure": [alone]}).steps
    assert rungs_of(step.on_failure) == rungs_of(listed.on_failure)
    assert Step.model_validate(step.model_dump(mode="json", by_alias=True)) == step


def test_a_step_knows_all_that_may_stand_in_for_it() -> None:
    then = [{"rule": "inn.sums"}, {"model": "openai/c"}]
    [step] = spec_of(
        {
            "on_failure": [{"model": ["openai/a", "openai/b"]}, {"fallback": "inn.cook"}],
            "on_reject": {"retry_from": "s0", "then": then},
        }
    ).steps
    assert (step.fallbacks, step.rules) == (("inn.cook",), ("inn.sums",))
    assert step.other_models == ("openai/a", "openai/b", "openai/c")
    assert [path for path, _ in step.rungs] == [
        "on_failure[0]",
        "on_failure[1]",
        "on_reject",
        "on_reject.then[0]",
        "on_reject.then[1]",
    ]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        # what is never tried
        (
            {"on_failure": ["skip", {"model": "openai/a"}, "rollback"]},
            [
                "steps[0].on_failure[1]: this rung is never tried: nothing comes after skip",
                "steps[0].on_failure[2]: this rung is never tried: nothing comes after skip",
            ],
        ),
        (
            {"on_reject": [{"escalate": {}}, "skip"], "on_failure": ["rollback", "escalate"]},
            [
                "steps[0].on_failure[1]: this rung is never tried: nothing comes after rollback",
                "steps[0].on_reject[1]: this rung is never tried: nothing comes after escalate",
            ],
        ),
        (
            {"on_failure": [{"retry_from": "s0"}, "skip"]},
            [
                "steps[0].on_failure[1]: this rung is never tried: what follows when retry_from did not help "
                "stands in its then"
            ],
        ),
        (
            {"on_failure": [{"fallback": "inn.cook"}, {"retry_from": "s0", "then": ["skip", "escalate"]}]},
            ["steps[0].on_failure[1].then[1]: this rung is never tried: nothing comes after skip"],
        ),
        # shapes
        ({"on_failure": []}, ["steps[0].on_failure: must not be empty"]),
        ({"on_failure": [["skip"]]}, ["steps[0].on_failure[0]: a ladder cannot stand here"]),
        (
            {"on_failure": {"retry_from": "s0", "then": {"retry_from": "s0"}}},
            ["steps[0].on_failure.then: a retry cannot stand here"],
        ),
        (
            {"on_failure": ["skipp", {"modle": "x"}]},
            [
                "steps[0].on_failure[0]: 'skipp' is none of rollback, skip, escalate",
                "steps[0].on_failure[1].fallback: say one of fallback, model, rule, escalate, retry_from",
                "steps[0].on_failure[1].modle: there is no key 'modle' here; did you mean 'model'?",
            ],
        ),
        (
            {"on_failure": [{"model": "x", "fallback": "inn.cook"}, {"rule": "inn.guess", "escalate": {}}]},
            [
                "steps[0].on_failure[0].model: only one of fallback, model, rule, escalate, retry_from can",
                "steps[0].on_failure[1].rule: only one of fallback, model, rule, escalate, retry_from can",
            ],
        ),
        (
            {"on_failure": ["skip", {"escalate": {"default": "skip"}}]},
            ["steps[0].on_failure[1].escalate: default is what counts after the deadline; say a deadline"],
        ),
        # names
        (
            {
                "on_failure": [
                    {"fallback": "inn.kook"},
                    {"rule": "inn.ges"},
                    {"rule": "inn.cook"},
                    {"rule": "inn.take"},
                    {"rule": "inn.sell"},
                    {"rule": "inn.give_back"},
                    {"rule": "inn.measure"},
                ]
            },
            [
                "steps[0].on_failure[0].fallback: there is no agent 'inn.kook'; did you mean 'inn.cook'?",
                "steps[0].on_failure[1].rule: there is no tool or agent in Python 'inn.ges'; did you mean",
                "steps[0].on_failure[2].rule: inn.cook is not plain code; write fallback: inn.cook",
                "steps[0].on_failure[3].rule: inn.take is compensatable; a rule answers from its input",
                "steps[0].on_failure[4].rule: inn.sell is pivot; a rule answers from its input",
                "steps[0].on_failure[5].rule: 'inn.give_back' is a compensation of the bundle",
                "steps[0].input: inn.measure needs 'width', which is missing",
            ],
        ),
        (
            {"on_failure": [{"fallback": "inn.cook"}, {"retry_from": "s9"}]},
            ["steps[0].on_failure[1].retry_from: 's9' is not 's0' and not a step that it waits for"],
        ),
        # models
        (
            {"agent": None, "tool": "inn.guess", "on_failure": {"model": "openai/a"}},
            ["steps[0].on_failure.model: another model may play the agent of a step only, and it calls"],
        ),
        (
            {"agent": "inn.sums", "on_failure": [{"model": "openai/a"}]},
            ["steps[0].on_failure[0].model: inn.sums is Python code; name another agent as fallback"],
        ),
        (
            {"agent": "inn.crew", "on_failure": [{"model": "openai/a"}]},
            ["steps[0].on_failure[0].model: inn.crew is a team; its members have models; name another"],
        ),
        (
            {
                "agent": None,
                "group": {"steps": [{"id": "i", "tool": "inn.guess"}]},
                "on_failure": [{"model": "openai/a"}, {"rule": "inn.guess"}],
            },
            [
                "steps[0].on_failure[0].model: another model may play the agent of a step only, and a group",
                "steps[0].on_failure[1].rule: a group has no rule; give its steps one",
            ],
        ),
        # a judge is independent of each rung
        (
            {"validate": JUDGED, "on_failure": [{"model": ["openai/x", "azure/strict"]}]},
            ["steps[0].validate[0].judge.model: azure/strict is the author's model too; a judge must differ"],
        ),
        (
            {"validate": JUDGED, "on_reject": {"retry_from": "s0", "then": [{"model": "openai/strict"}]}},
            ["steps[0].validate[0].judge.model: openai/strict is the author's model too"],
        ),
        # what escalations read
        (
            {"on_failure": [{"fallback": "inn.cook"}, {"escalate": {"not_by": "tusk.by"}}]},
            ["steps[0].on_failure[1].escalate.not_by: 'tusk.by': there is no 'tusk' to read"],
        ),
    ],
)
def test_faults(step: dict[str, Any], expected: list[str]) -> None:
    found = faults(step)
    assert len(found) == len(expected), found
    for fault, start in zip(found, expected, strict=True):
        assert fault.startswith(start), fault


def test_a_rung_that_can_be_undone_comes_before_the_pivot_and_a_rule_may_stand_anywhere() -> None:
    sold = {"agent": None, "tool": "inn.sell"}
    beside = {"agent": None, "tool": "inn.guess"}
    assert faults({**beside, "on_failure": [{"rule": "inn.sums"}]}, sold) == []
    told = faults({**beside, "on_failure": [{"rule": "inn.sums"}, {"fallback": "inn.cook"}]}, sold)
    assert told == [
        "steps[1]: 's0' can be undone and may still run beside the pivot 's1'; the pivot must need it"
    ]
    [step] = spec_of({**beside, "on_failure": [{"rule": "inn.guess"}, {"fallback": "inn.cook"}]}).steps
    assert effects_of(step, CATALOG) == {Effect.READ_ONLY, Effect.COMPENSATABLE}
