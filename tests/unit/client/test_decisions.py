"""What is read from the decisions on a board."""

from __future__ import annotations

from typing import Any

from counterstep.client.decisions import TaskDecision, decisions_of


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}+00:00"


def decided(second: int, kind: str, **more: Any) -> dict[str, Any]:
    return {"at": at(second), "kind": kind, "what": kind, "step": "w", "reason": "so", "by": "eve", **more}


def board(**more: Any) -> dict[str, Any]:
    steps = {"w": {"state": "completed", "verdicts": []}}
    return {"task": "t", "task_id": "id", "state": "running", "steps": steps, **more}


def test_decisions_of_teams_and_others_are_told_in_the_order_of_their_times() -> None:
    turn = {"call": "w/ann.1", "member": "ann", "state": "answered", "usage": None}
    move = {"at": at(2), "operation": "spawn", "team": "w", "pattern": "debate", "reason": "first", **turn}
    found = decisions_of(board(moves=[move], decided=[decided(1, "route"), decided(3, "refusal")]))
    assert [(one.n, one.operation) for one in found] == [(1, "route"), (2, "spawn"), (3, "refusal")]


def test_a_decision_has_its_step_its_call_and_who_has_made_it() -> None:
    calls: list[dict[str, Any]] = [
        {},
        {"call": "w/tool.1"},
        {"step": "w/tool.2"},
        {"step": ""},
        {"proven": True},
    ]
    found = decisions_of(board(decided=[decided(1, "approval", **more) for more in calls]))
    assert [(one.step, one.call) for one in found] == [
        ("w", None),
        ("w", "w/tool.1"),
        ("w", "w/tool.2"),
        (None, None),
        ("w", None),
    ]
    first, *_, last = found
    assert isinstance(first, TaskDecision) and isinstance(last, TaskDecision)
    assert (first.by, first.what, first.reason, first.proven, last.proven) == (
        "eve", "approval", "so", False, True,
    )  # fmt: skip
    assert first.reward.model_dump() == {
        "turn": None, "verdicts": (), "step": "completed", "task": "running",
    }  # fmt: skip


def test_every_line_has_what_a_reader_of_all_of_them_asks_for() -> None:
    (line,) = (one.model_dump(mode="json") for one in decisions_of(board(decided=[decided(1, "rung")])))
    assert line["reward"]["turn"] is None
    assert (line["code"], line["team"], line["cost"]["model_calls"]) == (None, None, 0)


def test_a_task_in_which_nothing_was_decided() -> None:
    assert decisions_of(board()) == []
