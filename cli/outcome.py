"""How a task ended, as ``run --json`` prints it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError, TimeoutError

from ..saga.book import TaskState
from ..saga.errors import FailureType
from .failure import CommandFailed, ExitCode

REFUSALS = frozenset(
    {
        FailureType.INVALID_SPEC,
        FailureType.INVALID_INPUT,
        FailureType.UNKNOWN_TASK,
        FailureType.INLINE_SPECS_REFUSED,
    }
)
"""Failures of tasks that the workers did not even begin."""

_CODES = {
    TaskState.COMPLETED: ExitCode.COMPLETED,
    TaskState.ROLLED_BACK: ExitCode.ROLLED_BACK,
    TaskState.ROLLBACK_INCOMPLETE: ExitCode.INCOMPLETE,
    TaskState.CANCELLED: ExitCode.CANCELLED,
    TaskState.WAITING: ExitCode.INCOMPLETE,
    TaskState.NEEDS_ATTENTION: ExitCode.INCOMPLETE,
}


class Outcome(BaseModel):
    """What ``run --json`` prints.

    Attributes:
        workflow_id: None where nothing was started.
        run_id: None where nothing was started.
        state: The task's state as the board has it; None where nothing was started.
        output: What a completed task returned.
        failure: `step`, `type` and `message` of the first failure.
        undone: Steps that are undone, in the order in which their undos finished.
        not_undone: Steps of which an undo is missing.
        usage: What was spent on models; None where nobody is left to tell.
    """

    model_config = ConfigDict(frozen=True)

    workflow_id: str | None = None
    run_id: str | None = None
    state: str | None = None
    output: Any = None
    failure: dict[str, str] | None = None
    undone: tuple[str, ...] = ()
    not_undone: tuple[str, ...] = ()
    usage: dict[str, Any] | None = None

    @property
    def exit_code(self) -> ExitCode:
        """What the command exits with; a task that was left running counts as interrupted.

        Where it waits for a person, it is incomplete.
        """
        if self.failure is not None and self.failure["type"] in REFUSALS:
            return ExitCode.BAD_USAGE
        return _CODES.get(TaskState(self.state), ExitCode.CANCELLED) if self.state else ExitCode.BAD_USAGE


async def end_of(handle: WorkflowHandle[Any, Any]) -> BaseException | Any:
    """Waits for the end of a task.

    Returns:
        Its result, or the error that it ended with.
    """
    while True:
        try:
            return await handle.result()
        except WorkflowFailureError as error:
            if isinstance(error.cause, TerminatedError) and await _goes_on(handle):
                continue
            return error.cause


def outcome_of(end: BaseException | Any, board: Mapping[str, Any] | None, ids: tuple[str, str]) -> Outcome:
    """Puts together what is known about a task that has ended.

    Args:
        end: From `end_of`.
        board: The last board, where a worker could be asked for it.
        ids: The workflow id and the run id.

    Returns:
        The outcome.
    """
    workflow_id, run_id = ids
    if not isinstance(end, BaseException):
        is_task = isinstance(end, Mapping) and end.get("state") == TaskState.COMPLETED
        result: Mapping[str, Any] = end if is_task else {"output": end}
        return Outcome(
            workflow_id=workflow_id,
            run_id=run_id,
            state=TaskState.COMPLETED,
            output=result["output"],
            undone=tuple(result.get("undone", ())),
            usage=result.get("usage"),
        )
    details = _details(end) or _from_board(board or {})
    return Outcome(
        workflow_id=workflow_id,
        run_id=run_id,
        state=_state(end, board or {}),
        failure=details.get("failure") or _failure(end),
        undone=tuple(details.get("undone", ())),
        not_undone=tuple(details.get("not_undone", ())),
        usage=details.get("usage"),
    )


def left_running(board: Mapping[str, Any] | None, ids: tuple[str, str]) -> Outcome:
    """What is known about a task that goes on without the command."""
    known = board or {}
    state = known.get("state", TaskState.RUNNING)
    if state != TaskState.NEEDS_ATTENTION:
        return Outcome(workflow_id=ids[0], run_id=ids[1], state=state, usage=known.get("usage"))
    return Outcome(workflow_id=ids[0], run_id=ids[1], state=state, **_from_board(known))


def stopped_short(failure: CommandFailed) -> Outcome:
    """What ``run --json`` prints where the command failed, and not the task."""
    said = {"step": "", "type": failure.type, "message": str(failure)}
    if failure.ids is None:
        return Outcome(failure=said)
    return Outcome(workflow_id=failure.ids[0], run_id=failure.ids[1], state=TaskState.RUNNING, failure=said)


def refusal_faults(end: BaseException | Any) -> list[tuple[str, str]]:
    """The faults, as path and message, for which the workers refused a task."""
    details = end.details if isinstance(end, ApplicationError) and end.type in REFUSALS else ()
    found = details[0].get("faults", ()) if details and isinstance(details[0], Mapping) else ()
    return [(fault["path"], fault["message"]) for fault in found]


async def _goes_on(handle: WorkflowHandle[Any, Any]) -> bool:
    """A reset leaves the old run terminated while its successor runs."""
    return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING


def _details(end: BaseException) -> Mapping[str, Any]:
    if not isinstance(end, ApplicationError) or not end.details:
        return {}
    first = end.details[0]
    return first if isinstance(first, Mapping) and "undone" in first else {}


def _from_board(board: Mapping[str, Any]) -> Mapping[str, Any]:
    live = [entry for entry in board.get("ledger", ()) if entry["state"] != "void"]
    missing = {entry["step"]: None for entry in reversed(live) if entry["state"] != "undone"}
    finished = [line["step"] for line in board.get("log", ()) if line["what"] == "undone"]
    in_order = dict.fromkeys(reversed(finished))
    return {
        "failure": board.get("failure"),
        "undone": [step for step in reversed(in_order) if step not in missing],
        "not_undone": list(missing),
        "usage": board.get("usage"),
    }


def _state(end: BaseException, board: Mapping[str, Any]) -> TaskState:
    if isinstance(end, CancelledError):
        return TaskState.CANCELLED
    if isinstance(end, ApplicationError) and end.type in (FailureType.ROLLED_BACK, *REFUSALS):
        return TaskState.ROLLED_BACK
    ended = board.get("state") in (TaskState.ROLLED_BACK, TaskState.CANCELLED)
    # Terminated, timed out or broken: whatever it did is still there, as far as anybody can tell.
    return TaskState(board["state"]) if ended else TaskState.ROLLBACK_INCOMPLETE


def _failure(end: BaseException) -> dict[str, str]:
    if isinstance(end, ApplicationError):
        return {"step": "", "type": end.type or "ApplicationError", "message": end.message}
    kind = {CancelledError: FailureType.CANCELLED, TerminatedError: "Terminated", TimeoutError: "TimedOut"}
    name = kind.get(type(end), type(end).__name__)
    return {"step": "", "type": str(name), "message": str(end) or "the task was cancelled"}
