"""What is told of tasks that were ended by force, and how they are found."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep.cli.operations.list_tasks import filter_of
from counterstep.cli.terminal.forced_end import left_lines, recovery_line

LEFT = {"task_id": "order 1", "state": "rollback_incomplete", "not_undone": ["b", "a"]}


def test_who_waits_must_still_run() -> None:
    said = filter_of(["waiting", "completed"], None, None)
    assert '(SagaState = "waiting" AND ExecutionStatus = "Running") OR SagaState = "completed"' in said


def test_what_was_ended_by_force_is_incomplete() -> None:
    said = filter_of(["rollback_incomplete"], "shop.order", "x = 1")
    assert 'SagaState IN ("running", "waiting", "compensating", "needs_attention")' in said
    assert 'ExecutionStatus IN ("Terminated", "TimedOut", "Failed")' in said
    assert said.endswith(' AND SagaTask = "shop.order" AND (x = 1)')


@pytest.mark.parametrize(
    ("forced_end", "said"), [("terminated", "been terminated"), ("timed_out", "timed out")]
)
def test_a_forced_end_is_told_with_the_way_out(forced_end: str, said: str) -> None:
    ended, undo = left_lines({**LEFT, "forced_end": forced_end}, ["--address", "a:1"])
    assert ended == f"The task was ended by force: it has {said}."
    assert undo == "NOT undone: b, a. Undo it: counterstep recover 'order 1' --address a:1"


@pytest.mark.parametrize(
    ("recovery", "said"),
    [
        ({"state": "completed", "undone": ["b", "a"]}, "undone since, by r: 2 steps: b, a"),
        ({"state": "completed"}, "undone since, by r: b, a"),
        ({"state": "running"}, "NOT undone yet: b, a. r is running: counterstep status r"),
        (
            {"state": "needs_attention"},
            "NOT undone yet: b, a. r is stuck and waits for a person: counterstep status r",
        ),
        ({"state": "rollback_incomplete"}, "NOT undone: b, a. r has ended before it was; try again: "),
    ],
)
def test_a_recovery_is_told_as_it_stands(recovery: dict[str, Any], said: str) -> None:
    known = {"workflow_id": "r", **recovery}
    assert recovery_line(known, "order 1", ["b", "a"], []).startswith(said)
    assert left_lines({**LEFT, "recovery": known}, []) == [recovery_line(known, "order 1", ["b", "a"], [])]


def test_others_have_left_nothing() -> None:
    assert left_lines({**LEFT, "state": "running"}, []) == []
