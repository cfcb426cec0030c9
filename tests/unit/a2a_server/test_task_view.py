"""Where a task is, in the words of A2A."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict

from counterstep.a2a_server.task_view import TaskView
from counterstep.client import Board, Outcome

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
VIEW = TaskView("t1", "c1", "shop.order", NOON)


def board(state: str, **more: Any) -> Board:
    steps = {"a": {"state": "completed"}, "b": {"state": "running"}, "c": {"state": "pending"}}
    return Board.model_validate(
        {"task": "shop.order", "task_id": "t1", "state": state, "steps": steps, **more}
    )


def asked(update: str, **more: Any) -> dict[str, Any]:
    return {
        "step": "b",
        "kind": "approval",
        "ask": "Pay?",
        "actions": ["approve", "reject"],
        "since": NOON.isoformat(),
        "update": update,
        **more,
    }


def state(task: pb.Task) -> str:
    return pb.TaskState.Name(task.status.state).removeprefix("TASK_STATE_").lower()


def told(task: pb.Task) -> Any:
    return MessageToDict(task.status.message.parts[1].data)


@pytest.mark.parametrize("shown", ["running", "waiting", "compensating", "needs_attention"])
def test_a_task_under_way_is_working_and_says_how_far_it_is(shown: str) -> None:
    # An operator settles what needs attention; a wait for an event is nothing that a caller could answer.
    more = {"waiting_for": [asked("resolve")]} if shown == "needs_attention" else {}
    task = VIEW.of_board(board(shown, **more))
    assert state(task) == "working"
    assert told(task) == {"state": shown, "stepsDone": 1, "steps": 3, "at": ["b"]}


def test_a_question_is_told_with_all_that_its_answer_needs() -> None:
    question = asked("decide", show={"usd": 50}, hash="h" * 64, roles=[["boss"]])
    task = VIEW.of_board(board("waiting", waiting_for=[question]))
    assert state(task) == "input_required"
    assert task.status.message.parts[0].text == "Pay?"
    wanted = {"step", "ask", "actions", "show", "hash", "roles"}
    assert told(task) == {name: value for name, value in question.items() if name in wanted}


@pytest.mark.parametrize(
    ("ended", "refused", "shown"),
    [
        ("rolled_back", False, "failed"),
        ("rolled_back", True, "rejected"),
        ("cancelled", False, "canceled"),
        ("rollback_incomplete", False, "failed"),
    ],
)
def test_an_end_tells_what_was_undone(ended: str, refused: bool, shown: str) -> None:
    failure = {"step": "b", "type": "Broken", "message": "it broke"}
    outcome = Outcome(
        workflow_id="t1", state=ended, failure=failure, undone=("b",), not_undone=("a",), refused=refused
    )
    task = VIEW.of_end(outcome, NOON)
    assert state(task) == shown
    assert task.status.message.parts[0].text == "Broken: it broke"
    assert told(task) == {"state": ended, "failure": failure, "undone": ["b"], "notUndone": ["a"]}
    assert not task.artifacts


def test_a_completed_task_has_its_output_as_data() -> None:
    task = VIEW.of_end(Outcome(workflow_id="t1", state="completed", output={"n": 2, "x": [1.5, None]}), NOON)
    [artifact] = task.artifacts
    assert MessageToDict(artifact.parts[0].data) == {"n": 2, "x": [1.5, None]}
    assert (state(task), task.context_id, MessageToDict(task.metadata)) == (
        "completed",
        "c1",
        {"task": "shop.order"},
    )


def test_without_a_worker_a_task_is_submitted_or_still_worked_at() -> None:
    assert [state(VIEW.without_board(begun=begun)) for begun in (False, True)] == ["submitted", "working"]
