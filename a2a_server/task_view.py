"""Where a task is, in the words of A2A."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from a2a.helpers.proto_helpers import new_data_part, new_text_part
from a2a.types import a2a_pb2 as pb

from ..client import Asked, Board, Outcome
from ..saga.record.step_record import UNDER_WAY, StepState
from ..saga.record.task_state import ENDED, TaskState

SUBMITTED: Final = pb.TaskState.TASK_STATE_SUBMITTED
WORKING: Final = pb.TaskState.TASK_STATE_WORKING
ASKING: Final = pb.TaskState.TASK_STATE_INPUT_REQUIRED
COMPLETED: Final = pb.TaskState.TASK_STATE_COMPLETED
FAILED: Final = pb.TaskState.TASK_STATE_FAILED
CANCELED: Final = pb.TaskState.TASK_STATE_CANCELED
REJECTED: Final = pb.TaskState.TASK_STATE_REJECTED

TERMINAL: Final = frozenset({COMPLETED, FAILED, CANCELED, REJECTED})

_OF_ENDS: Final[Mapping[str, pb.TaskState]] = {
    TaskState.COMPLETED: COMPLETED,
    TaskState.CANCELLED: CANCELED,
}


def answerable(board: Board) -> tuple[Asked, ...]:
    """Returns the questions that a caller can answer; stuck undos and the like are for operators."""
    return tuple(asked for asked in board.waiting_for if asked.update == "decide")


@dataclass(frozen=True, slots=True)
class TaskView:
    """Tells a task.

    Attributes:
        id: Its id.
        context: The conversation that it belongs to.
        name: The name of the task.
        started: When it was started.
    """

    id: str
    context: str
    name: str
    started: datetime

    def without_board(self, *, begun: bool) -> pb.Task:
        """Returns it while no worker tells how it is."""
        return self._made(WORKING if begun else SUBMITTED, self.started)

    def of_state(self, state: pb.TaskState, since: datetime | None) -> pb.Task:
        """Returns it with its state alone."""
        return self._made(state, since or self.started)

    def of_board(self, board: Board) -> pb.Task:
        """Returns it while it is under way."""
        asked = answerable(board)
        since = board.log[-1].at if board.log else self.started
        if asked:
            return self._made(ASKING, since, _questions(asked), f"{asked[0].step}-{asked[0].hash[:16]}")
        done = sum(step.state not in (StepState.PENDING, *UNDER_WAY) for step in board.steps.values())
        at = [name for name, step in board.steps.items() if step.state in UNDER_WAY]
        told = {"state": board.state.value, "stepsDone": done, "steps": len(board.steps), "at": at}
        text = f"{done} of {len(board.steps)} steps are done"
        if board.state is TaskState.COMPENSATING:
            text = "what was done is being undone"
        if board.state is TaskState.NEEDS_ATTENTION:
            text = "an operator has to look at it"
        return self._made(WORKING, since, [new_text_part(text), _data(told)], board.state.value)

    def of_end(self, outcome: Outcome, closed: datetime | None) -> pb.Task:
        """Returns it when it has ended."""
        state = REJECTED if outcome.refused else _OF_ENDS.get(outcome.state or "", FAILED)
        if state == COMPLETED:
            task = self._made(COMPLETED, closed or self.started)
            part = _data(outcome.output)
            task.artifacts.append(pb.Artifact(artifact_id="output", name="output", parts=[part]))
            return task
        failure = outcome.failure or {}
        told = {
            "state": outcome.state,
            "failure": failure,
            "undone": list(outcome.undone),
            "notUndone": list(outcome.not_undone),
        }
        text = ": ".join(filter(None, (failure.get("type"), failure.get("message")))) or "it was cancelled"
        return self._made(state, closed or self.started, [new_text_part(text), _data(told)], "end")

    def _made(
        self, state: pb.TaskState, at: datetime, parts: list[pb.Part] | None = None, what: str = ""
    ) -> pb.Task:
        status = pb.TaskStatus(state=state)
        status.timestamp.FromDatetime(at)
        if parts:
            message = pb.Message(role=pb.Role.ROLE_AGENT, parts=parts, message_id=f"{self.id}/{what}")
            message.task_id, message.context_id = self.id, self.context
            status.message.CopyFrom(message)
        task = pb.Task(id=self.id, context_id=self.context, status=status)
        task.metadata["task"] = self.name
        return task


def has_ended(board: Board) -> bool:
    """Says whether the board is that of a task that has ended."""
    return board.state in ENDED


def _questions(asked: tuple[Asked, ...]) -> list[pb.Part]:
    parts = [new_text_part("\n".join(one.ask for one in asked))]
    for one in asked:
        told: dict[str, Any] = {"step": one.step, "ask": one.ask, "actions": list(one.actions)}
        more = {"show": one.show, "hash": one.hash, "roles": [list(roles) for roles in one.roles]}
        told |= {name: value for name, value in more.items() if value}
        if one.deadline is not None:
            told |= {"deadline": one.deadline.isoformat(), "default": one.default}
        parts.append(_data(told))
    return parts


def _data(value: Any) -> pb.Part:
    return new_data_part(value, media_type="application/json")
