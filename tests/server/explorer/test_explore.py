"""The fault explorer on real tasks: what is right is green, and planted bugs are found and made small."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from counterstep import SpecError
from counterstep.testing.explore import explore
from counterstep.testing.explorer.exploration import LATE_FAULT, NotExplorable
from counterstep.testing.explorer.fault import FaultKind
from counterstep.testing.explorer.invariants import Invariant
from counterstep.testing.explorer.report import Report
from counterstep.tests.support.bundles import banquet, saboteur

BUNDLES = ["counterstep.tests.support.bundles.banquet:banquet"]
SABOTAGED = ["counterstep.tests.support.bundles.saboteur:banquet"]
STANDING = "counterstep.tests.support.bundles.banquet:standing"

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(banquet.VARIABLE, str(tmp_path / "banquet.sqlite"))


def ordering(step_id: str, *needs: str, tool: str = "order", **keys: Any) -> dict[str, Any]:
    return {
        "id": step_id,
        "needs": list(needs),
        "tool": f"banquet.{tool}",
        "input": {"what": step_id},
        **keys,
    }


def task(*steps: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    return {"name": "evening", "steps": list(steps), **keys}


def messages(report: Report) -> dict[str, list[str]]:
    """What does not hold, by cell."""
    return {cell.label: [str(violation) for violation in cell.violations] for cell in report.failures}


def broken_rules(report: Report, *, certain: bool = True) -> set[tuple[str, str]]:
    return {(f.call, f.rule) for f in report.findings if f.certain is certain}


async def test_every_cell_of_a_small_task_is_green() -> None:
    spec = task(
        ordering("hall", validate=[{"check": "banquet.was_ordered"}]),
        {**ordering("dish", "hall", tool="order_async"), "for_each": "['soup', 'cake']"},
    )
    report = await explore(spec, bundles=BUNDLES, effects=STANDING)
    assert report.ok, report.text()
    assert {point.id for point in report.points} == {
        "hall#1",
        "hall/check.0#1",
        "dish[0]#1",
        "dish[1]#1",
        "dish[1]/undo#1",
        "dish[0]/undo#1",
        "hall/undo#1",
    }
    # Two runs without faults; seven kinds on each call, five on what is only read, five on each undo.
    assert len(report.cells) == 2 + 3 * 7 + 5 + 3 * 5
    assert report.totals() == {
        "faults_injected": 41,
        "orphaned_effects": 0,
        "double_undos": 0,
        "order_violations": 0,
        "stuck": 0,
        "other_violations": 0,
        "missed": 0,
        "broken_contracts": 0,
    }
    states = {cell.kind: cell.state for cell in report.cells if cell.point and cell.point.id == "hall#1"}
    assert states == {
        FaultKind.FAIL_BEFORE: "rolled_back",
        FaultKind.FAIL_AFTER: "rolled_back",
        FaultKind.HANG: "rolled_back",
        FaultKind.GARBAGE: "rolled_back",
        FaultKind.CANCEL: "cancelled",
        FaultKind.KILL_BEFORE: "completed",
        FaultKind.KILL_AFTER: "completed",
    }


async def test_agents_and_child_workflows_are_broken_too() -> None:
    spec = task(
        {"id": "drinks", "agent": "banquet.steward", "input": {"what": "drinks"}},
        {"id": "soup", "workflow": "banquet.course", "input": {"dish": "soup"}, "effect": "compensatable"},
        ordering("music", "soup", "drinks"),
    )
    report = await explore(spec, bundles=BUNDLES, effects=STANDING, shrink=False)
    assert report.ok, report.text()
    assert {point.id for point in report.points if "undo" not in point.id} == {
        "drinks/model.1#1",
        "drinks/tool.1#1",
        "drinks/model.2#1",
        "soup/1/plates#1",
        "soup/1/dish#1",
        "music#1",
    }
    states = {cell.label: cell.state for cell in report.cells}
    # The model that has answered nonsense is asked again; what a child did is undone by its parent.
    assert states["drinks/model.1#1 garbage"] == "completed"
    assert states["soup/1/dish#1 garbage"] == "rolled_back"
    assert states["soup/1/plates/undo#1 fail for ever"] == "rolled_back"


async def test_every_cell_of_a_task_whose_calls_need_a_yes_is_green() -> None:
    spec = task(
        ordering("hall", approvals=[{"tool": "banquet.order", "people": 2}]),
        {"id": "drinks", "agent": "banquet.steward", "input": {"what": "drinks"}, "needs": ["hall"]},
        {"id": "dinner", "needs": ["drinks"], "tool": "banquet.serve", "input": {"what": "dinner"}},
        approvals=[{"tool": "banquet.order"}, {"tool": "banquet.serve", "ask": "Shall dinner be served?"}],
    )
    report = await explore(spec, bundles=BUNDLES, effects=STANDING, shrink=False)
    assert report.ok, report.text()
    states = {cell.label: cell.state for cell in report.cells}
    assert states["hall#1 kill after"] == states["drinks/tool.1#1 kill after"] == "completed"
    assert states["drinks/tool.1#1 cancel"] == "cancelled"


async def test_questions_are_answered_and_a_pivot_is_not_undone() -> None:
    spec = task(
        ordering("hall", on_failure="escalate"),
        {"id": "boss", "needs": ["hall"], "approve": {"ask": "Shall we?"}},
        {"id": "taste", "needs": ["boss"], "workflow": "banquet.tasting", "effect": "compensatable"},
        {"id": "pause", "needs": ["taste"], "wait": {"time": "1h"}},
        {"id": "dinner", "needs": ["pause"], "tool": "banquet.serve", "input": {"what": "dinner"}},
        {"id": "thanks", "needs": ["dinner"], "tool": "banquet.thank", "input": {"who": "all"}},
    )
    report = await explore(spec, bundles=BUNDLES, effects=STANDING, shrink=False)
    assert report.ok, report.text()
    states = {cell.label: cell.state for cell in report.cells}
    assert states["hall#1 fail before"] == "rolled_back"
    assert states["dinner#1 fail before"] == "rolled_back"
    for kind in ("fail after", "garbage", "hang", "kill after", "cancel"):
        assert states[f"dinner#1 {kind}"] == "completed"
    assert states["thanks#1 fail before"] == "completed"


async def test_planted_bugs_of_compensations_and_tools_are_found() -> None:
    spec = task(
        ordering("kept", tool="order_for_good"),
        ordering("pressed", tool="order_insistently"),
        ordering("blind", tool="order_blindly"),
        {"id": "guests", "tool": "banquet.invite", "input": {"number": 7}},
    )
    report = await explore(spec, bundles=BUNDLES, effects=STANDING, shrink=False)
    assert not report.ok
    assert broken_rules(report) == {
        ("banquet.order_for_good", "twice"),
        ("banquet.order_for_good", "undo first"),
        ("banquet.order_insistently", "nothing to undo"),
        ("banquet.order_blindly", "undo first"),
        ("banquet.invite", "twice"),
    }
    found = messages(report)
    assert "no fault" not in found
    # A compensation that does nothing: only the user's world can tell.
    assert "orphaned effect: the world has 1 x kept#1, which was not there before" in found[LATE_FAULT]
    # One that fails where there is nothing to undo: the task would wait for a person.
    assert "stuck: nobody broke the undo of pressed#1, and it fails" in found["pressed#1 fail before"]
    # One that is not idempotent, when its answer is lost.
    for kind in ("kill after", "fail twice"):
        twice = "orphaned effect: the world has 1 x -7 guests, which was not there before"
        assert twice in found[f"guests/undo#1 {kind}"]
    assert "guests" not in " ".join(found["guests/undo#1 kill before"])


async def test_without_the_users_world_the_explorer_says_what_it_cannot_know() -> None:
    spec = task(ordering("kept", tool="order_for_good"), ordering("blind", tool="order_blindly"))
    report = await explore(spec, bundles=BUNDLES, only="*contract")
    assert report.ok
    assert broken_rules(report) == set()
    assert broken_rules(report, certain=False) == {
        ("banquet.order_for_good", "undo first"),
        ("banquet.order_blindly", "undo first"),
    }
    assert {cell.label for cell in report.cells} == {"no fault", LATE_FAULT}


@pytest.mark.parametrize(
    ("bug", "cell", "invariant", "number"),
    [
        ("order", LATE_FAULT, Invariant.ORDER, 3),
        ("forget", LATE_FAULT, Invariant.ORPHAN, 3),
        ("grace", "hall#1 hang", Invariant.EARLY, 1),
    ],
)
async def test_a_bug_in_the_engine_is_found(
    bug: str, cell: str, invariant: Invariant, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(saboteur.VARIABLE, bug)
    spec = task(ordering("hall", tool="order_blindly"), ordering("music", "hall"), ordering("cake", "music"))
    report = await explore(spec, bundles=SABOTAGED, only=cell, shrink=False)
    assert [failed.label for failed in report.failures] == [cell], report.text()
    assert report.count(invariant) == number, report.text()


async def test_a_failure_is_shrunk_to_the_step_that_fails() -> None:
    spec = task(
        {"id": "wishes", "tool": "banquet.ask_guests", "input": {"guests": "${{ task.guests }}"}},
        ordering("hall", "wishes"),
        {**ordering("dish", "hall"), "for_each": "steps.wishes.output"},
        ordering("music", "hall", on_failure="skip"),
        {
            **ordering("kept", "dish", "music", tool="order_for_good"),
            "input": {"what": "cake for ${{ size(steps.dish.output) }} at ${{ steps.hall.output.what }}"},
            "validate": [{"rule": "output.cost >= steps.hall.output.cost"}],
        },
        ordering("lights", "kept"),
        output={"cake": "${{ steps.kept.output.what }}"},
    )
    report = await explore(
        spec, bundles=BUNDLES, input={"guests": 2}, effects=STANDING, only="kept#1 fail after"
    )
    assert report.shrunk is not None, report.text()
    assert report.shrunk.label == "kept#1 fail after"
    assert report.shrunk.spec == {
        "name": "evening",
        "steps": [{"id": "kept", "tool": "banquet.order_for_good", "input": {"what": "cake for 2 at hall"}}],
    }
    assert "shortest spec" in report.text()


async def test_what_cannot_be_explored_is_refused() -> None:
    with pytest.raises(SpecError, match=r"banquet\.ordr"):
        await explore(task(ordering("hall", tool="ordr")), bundles=BUNDLES)
    never = task(ordering("hall", validate=[{"rule": "false"}]))
    with pytest.raises(NotExplorable, match="must complete, and it ended rolled_back: Rejected"):
        await explore(never, bundles=BUNDLES)
    waits = task(ordering("hall"), {"id": "news", "wait": {"event": "news"}})
    with pytest.raises(NotExplorable, match="news waits for an event"):
        await explore(waits, bundles=BUNDLES)
    with pytest.raises(NotExplorable, match="--only fits no cell"):
        await explore(task(ordering("hall")), bundles=BUNDLES, only="hal#1 hang")
