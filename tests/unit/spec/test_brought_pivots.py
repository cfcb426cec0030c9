"""A pivot in a child whose task its parent's step brings is told before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep import Bundle, Effect, Undo
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.saga.spec.catalog import Catalog
from counterstep.saga.spec.checker import check_spec

DO = {"id": "do", "tool": "yard.do"}
SEND = {"id": "send", "tool": "yard.send", "needs": ["do"]}
LOG = {"id": "log", "tool": "yard.log", "needs": ["child"]}
SAYS = "its child has the pivot 'send'; say effect: pivot"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    yard = Bundle("yard")

    @yard.tool(compensate="take_back")
    def do() -> None: ...

    @yard.tool(effect=Effect.PIVOT)
    def send() -> None: ...

    @yard.tool(effect=Effect.RETRIABLE)
    def log() -> None: ...

    @yard.compensation
    def take_back(undo: Undo[None]) -> None: ...

    yard.add_task({"name": "parcel", "steps": [DO, SEND]})
    yard.add_task({"name": "letter", "steps": [DO]})
    return Registry([yard]).catalog


def brings(*steps: dict[str, Any], **keys: Any) -> dict[str, Any]:
    spec = {"name": "inner", "steps": list(steps)}
    return {"id": "child", "workflow": "AgentTask", "task_queue": "q", "input": {"spec": spec}, **keys}


def names(task: Any, **keys: Any) -> dict[str, Any]:
    return {**brings(DO), "input": {"task": task}, **keys}


def faults(catalog: Catalog, *steps: dict[str, Any]) -> list[str]:
    return [str(fault) for fault in check_spec(parse_spec({"name": "t", "steps": list(steps)}), catalog)]


PIVOT = {"effect": "pivot"}


@pytest.mark.parametrize(
    "steps",
    [
        [brings(DO, SEND, **PIVOT), LOG],
        [DO, brings(DO, SEND, needs=["do"], **PIVOT), LOG],
        [names("yard.parcel", **PIVOT), LOG],
        [brings(DO), {**SEND, "needs": ["child"]}],
        [names("yard.letter"), {**SEND, "needs": ["child"]}],
        [names("${{ task.name }}"), LOG],
        [brings({"id": "any", "tool": "elsewhere.send"}), LOG],
    ],
)
def test_what_says_so_or_brings_none_passes(catalog: Catalog, steps: list[dict[str, Any]]) -> None:
    assert faults(catalog, *steps) == []


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([brings(DO, SEND), LOG], [f"steps[0]: {SAYS}"]),
        ([brings(DO, SEND, effect="retriable"), LOG], [f"steps[0]: {SAYS}"]),
        ([names("yard.parcel"), LOG], [f"steps[0]: {SAYS}"]),
        ([{"id": "g", "group": {"steps": [brings(DO, SEND)]}}], [f"steps[0].group.steps[0]: {SAYS}"]),
        (
            [brings(DO, SEND), {**DO, "needs": ["child"]}, {**SEND, "needs": ["child"]}],
            [
                f"steps[0]: {SAYS}",
                "steps[2]: 'child' is the pivot already; a task has one",
                "steps[0]: 'do' can be undone and comes after the pivot 'child'; the pivot must need it",
            ],
        ),
        (
            [brings(SEND | {"needs": []}, {**DO, "needs": ["send"]}, **PIVOT)],
            [
                "steps[0].input.spec.steps[0]: 'do' can be undone and comes after the pivot 'send'; "
                "the pivot must need it"
            ],
        ),
        (
            [brings(brings(DO, SEND))],
            [
                "steps[0]: its child has the pivot 'child'; say effect: pivot",
                f"steps[0].input.spec.steps[0]: {SAYS}",
            ],
        ),
        (
            [brings(DO, SEND, for_each="[1, 2]", **PIVOT)],
            ["steps[0]: a pivot cannot stand under for_each: it would be several points of no return"],
        ),
    ],
)
def test_what_hides_one_is_told_with_all_that_follows(
    catalog: Catalog, steps: list[dict[str, Any]], expected: list[str]
) -> None:
    assert faults(catalog, *steps) == expected


def test_a_task_that_brings_itself_is_read_once(catalog: Catalog) -> None:
    spec = parse_spec({"name": "loop", "steps": [names("yard.loop")]})
    looped = catalog.model_copy(update={"tasks": {**catalog.tasks, "yard.loop": spec}})
    assert [str(fault) for fault in check_spec(spec, looped)] == []
