"""What is wrong with a step whose items are a plan, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from counterstep import Bundle, Effect
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.cli.terminal.mermaid import draw
from counterstep.cli.terminal.task_picture import picture_of_spec
from counterstep.saga.errors import SpecError
from counterstep.saga.spec.checker import check_spec
from counterstep.saga.spec.task_spec import TaskSpec

trips = Bundle("trips")


class Operation(BaseModel):
    id: str
    after: list[str] = []
    input: dict[str, str]


class Plan(BaseModel):
    operations: list[Operation]


@trips.agent(effect=Effect.READ_ONLY)
def planner() -> Plan:
    """Plans."""
    return Plan(operations=[])


@trips.tool(effect=Effect.READ_ONLY)
def look(what: str) -> str:
    """Looks."""
    return what


@trips.tool(effect=Effect.PIVOT)
def pay(what: str) -> str:
    """Pays."""
    return what


CATALOG = Registry([trips]).catalog
LISTED = {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}}
INPUT = {"type": "object", "properties": {"list": LISTED, "any": {"type": "array"}}}
PLAN = {"id": "plan", "agent": "trips.planner"}


def ops(**keys: Any) -> dict[str, Any]:
    step = {
        "id": "ops",
        "for_each": "steps.plan.output.operations",
        "key": "item.id",
        "after": "item.after",
        "tool": "trips.look",
        "input": {"what": "${{ item.input.what }}"},
        **keys,
    }
    return {name: value for name, value in step.items() if value is not None}


def faults(*steps: dict[str, Any]) -> list[str]:
    try:
        spec = parse_spec({"name": "trip", "input": INPUT, "steps": [PLAN, *steps]})
    except SpecError as error:
        return [str(fault) for fault in error.faults]
    return [str(fault) for fault in check_spec(spec, CATALOG)]


ONLY_AFTER = "can be read in a step with after only"
TOO_EARLY = "cannot be read here: a plan is read before anything of it is done"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (ops(), []),
        (ops(keep="closure", frozen="item.id in facts.paid", when="done.x != ''"), []),
        (ops(input={"what": "${{ done[item.after[0]] }}"}), []),
        (ops(tool="${{ item.input.tool }}", one_of=["trips.look", "trips.pay"]), []),
        (ops(key=None, after=None, keep="same"), ["steps[1]: keep needs key, which names the items"]),
        (ops(key=None, keep="same"), ["steps[1]: after and keep need key, which names the items"]),
        (ops(for_each=None, after=None), ["steps[1]: key needs for_each: it names the items"]),
        (
            ops(after=None, keep="closure"),
            ["steps[1]: keep: closure needs after, which says what comes after what"],
        ),
        (ops(keep="all"), ["steps[1].keep: 'all' is not one of 'same' or 'closure'"]),
        (
            ops(key="item.idd"),
            [
                "steps[1].key: item.idd: an item of steps.plan.output.operations has no 'idd'; "
                "did you mean 'id'?"
            ],
        ),
        (
            ops(for_each="task.list", key="item.nam", after=None, input={"what": "${{ item.name }}"}),
            ["steps[1].key: item.nam: an item of task.list has no 'nam'; did you mean 'name'?"],
        ),
        (ops(for_each="task.any"), []),
        (ops(for_each="steps.plan.output.operations.filter(o, o.id != '')", key="item.idd"), []),
        (ops(after="done.x"), [f"steps[1].after: done.x {TOO_EARLY}"]),
        (ops(for_each="done.x"), [f"steps[1].for_each: done.x {TOO_EARLY}"]),
        (
            ops(tool="${{ done.x }}", one_of=["trips.look"]),
            [f"steps[1].tool: done.x {TOO_EARLY}"],
        ),
        (ops(after=None, input={"what": "${{ done.x }}"}), [f"steps[1].input.what: done.x {ONLY_AFTER}"]),
        (ops(tool="trips.pay"), []),
        (
            ops(key=None, after=None, tool="trips.pay"),
            ["steps[1]: a pivot cannot stand under for_each: it would be several points of no return"],
        ),
    ],
)
def test_a_step_that_does_a_plan(step: dict[str, Any], expected: list[str]) -> None:
    assert faults(step) == expected


def test_items_are_known_inside_a_group_and_not_behind_it() -> None:
    inner = {"id": "look", "tool": "trips.look", "input": {"what": "${{ item.what + done.x }}"}}
    group = ops(tool=None, input=None, group={"steps": [inner]})
    behind = {"id": "behind", "tool": "trips.look", "input": {"what": "${{ done.x }}"}}
    assert faults(group, behind) == [
        "steps[1].group.steps[0].input.what: item.what: an item of steps.plan.output.operations has no "
        "'what'; there are after, id, input",
        f"steps[2].input.what: done.x {ONLY_AFTER}",
    ]


def test_the_graph_says_what_a_plan_is_made_of() -> None:
    computed = ops(tool="${{ item.input.tool }}", one_of=["trips.look", "trips.pay"])
    spec = parse_spec({"name": "trip", "steps": [PLAN, computed]})
    assert '  s2["ops<br/>a plan of trips.look or trips.pay"]' in draw(picture_of_spec(spec, CATALOG))


def test_the_published_schema_has_the_keys_of_a_plan() -> None:
    step = TaskSpec.model_json_schema(by_alias=True)["$defs"]["Step"]["properties"]
    assert {"key", "after", "keep", "frozen"} <= set(step)
    assert step["keep"]["anyOf"][0]["enum"] == ["same", "closure"]
