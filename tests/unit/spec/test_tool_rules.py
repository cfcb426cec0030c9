"""A step that leaves its agent fewer tools: what it may name, and what is reckoned with then."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep.bundle.spec_file import parse_spec
from counterstep.saga.effect import Effect
from counterstep.saga.errors import SpecError
from counterstep.saga.spec.approval import Approval
from counterstep.saga.spec.catalog import AgentEntry, Catalog, CompensationEntry, ToolEntry
from counterstep.saga.spec.checker import check_spec
from counterstep.saga.spec.rules.costs import costs_of, hints_of
from counterstep.saga.spec.rules.pivot_rules import effects_of
from counterstep.saga.spec.rules.tool_rules import narrowed
from counterstep.saga.spec.task_spec import TaskSpec

READS = [f"shop.read{number}" for number in range(6)]


def entry(name: str, *tools: str, **keys: Any) -> AgentEntry:
    given = {"effect": Effect.READ_ONLY, "models": ("openai/m",), **keys}
    return AgentEntry(name=name, tools=tools, output_schema={"type": "string"}, **given)


def tool(name: str, effect: Effect = Effect.READ_ONLY, **keys: Any) -> ToolEntry:
    return ToolEntry(name=name, effect=effect, **keys)


TOOLS = [
    *map(tool, READS),
    tool("shop.put", Effect.COMPENSATABLE, compensate="shop.take"),
    tool("shop.wire", Effect.PIVOT, approval=Approval()),
]
AGENTS = [
    entry("shop.clerk", *READS, "shop.put", "shop.boss"),
    entry("shop.reader", "shop.read0", "shop.read1"),
    entry("shop.boss"),
    entry("shop.banker", "shop.read0", "shop.wire"),
    entry("shop.code", python=True),
]
CATALOG = Catalog(
    tools={one.name: one for one in TOOLS},
    agents={one.name: one for one in AGENTS},
    compensations={name: CompensationEntry(name=name) for name in ("shop.take", "counterstep.retract")},
)


def task(*steps: dict[str, Any]) -> TaskSpec:
    return parse_spec({"name": "t", "steps": [{"id": f"s{n}", **step} for n, step in enumerate(steps)]})


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        (
            {"tools": ["shop.red0"]},
            "steps[0].tools[0]: shop.clerk has no tool 'shop.red0'; did you mean 'shop.read0'?",
        ),
        (
            {"tools": ["shop.wire"]},
            "steps[0].tools[0]: 'shop.wire' is not among the tools of shop.clerk, "
            "and a step can only leave some of them out",
        ),
        ({"tools": ["shop.put", "shop.put"]}, "steps[0].tools[1]: 'shop.put' is named twice"),
        (
            {"agent": "${{ task.who }}", "one_of": ["shop.clerk", "shop.reader"], "tools": ["shop.put"]},
            "steps[0].tools[0]: 'shop.put' is not among the tools of shop.reader, "
            "and a step can only leave some of them out",
        ),
        ({"agent": "shop.code", "tools": []}, "steps[0].tools: shop.code is Python code; leave tools out"),
        (
            {"tools": ["shop.take"]},
            "steps[0].tools[0]: 'shop.take' is a compensation of the bundle; "
            "it runs by itself when a call is undone",
        ),
    ],
)
def test_a_step_can_only_leave_tools_out(step: dict[str, Any], fault: str) -> None:
    faults = check_spec(task({"agent": "shop.clerk", **step}), CATALOG)
    assert [str(found).split("; did you mean 'shop.read")[0] for found in faults] == [
        fault.split("; did you mean 'shop.read")[0]
    ]


def test_a_wrong_name_is_told_with_the_nearest_one() -> None:
    (fault,) = check_spec(task({"agent": "shop.clerk", "tools": ["shop.putt"]}), CATALOG)
    assert "did you mean 'shop.put'" in fault.message


@pytest.mark.parametrize("step", [{"tool": "shop.read0"}, {"wait": {"time": "1s"}}, {"workflow": "x"}])
def test_only_the_step_of_an_agent_has_tools(step: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="tools says which of its tools the agent of a step may call"):
        task({**step, "tools": ["shop.read0"]})


def test_an_agent_keeps_the_order_of_its_tools_and_may_be_left_without_any() -> None:
    clerk = CATALOG.agents["shop.clerk"]
    assert narrowed(clerk, ("shop.put", "shop.read1")).tools == ("shop.read1", "shop.put")
    assert narrowed(clerk, ()).tools == ()
    assert narrowed(clerk, None) is clerk


def test_what_is_left_out_does_not_count_for_effects_and_costs() -> None:
    whole, fewer = ({"agent": "shop.clerk"}, {"agent": "shop.clerk", "tools": ["shop.read0"]})
    (reads,) = task(fewer).steps
    assert effects_of(reads, CATALOG) == {Effect.READ_ONLY}
    assert [cost.calls.most for cost in costs_of(task(whole), CATALOG)] == [None, None]  # it may ask the boss
    assert [cost.calls.most for cost in costs_of(task(fewer), CATALOG)] == [8, 8]


def test_a_pivot_that_is_left_out_is_not_one() -> None:
    banker = {"agent": "shop.banker", "tools": ["shop.read0"]}
    assert check_spec(task(banker), CATALOG) == []
    (fault,) = check_spec(task({**banker, "effect": "pivot"}), CATALOG)
    assert "has no pivot among its tools" in fault.message
    (fault,) = check_spec(task({"agent": "shop.banker"}), CATALOG)
    assert "say effect: pivot" in fault.message


def test_many_tools_are_hinted_at_by_the_step_that_leaves_them() -> None:
    def hints(*steps: dict[str, Any]) -> list[str]:
        return [str(hint) for hint in hints_of(task(*steps), CATALOG)]

    whole = {"agent": "shop.clerk"}
    assert hints(whole) == [
        "shop.clerk has 8 tools; with more than 5 models choose worse; a step may leave some out (tools)"
    ]
    assert hints({**whole, "tools": READS[:5]}) == []
    assert hints({**whole, "tools": READS}, {**whole, "tools": []}) == [
        "shop.clerk has 6 tools in step 's0'; with more than 5 models choose worse"
    ]
    assert len(hints(whole, {**whole, "tools": []})) == 1
