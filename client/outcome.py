"""How a task ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError, TimeoutError

from ..runtime.codec import PayloadUnreadable
from ..saga.errors import FailureType, Fault
from ..saga.record.task_state import TaskState

REFUSALS = frozenset(
    {
        FailureType.INVALID_SPEC,
        FailureType.INVALID_INPUT,
        FailureType.UNKNOWN_TASK,
        FailureType.INLINE_SPECS_REFUSED,
        FailureType.LIMIT_REACHED,
    }
)
"""How tasks end that the workers did not begin; a call of a task that has begun may fail with the same."""


class _OwnFailure(ApplicationError):
    """The failure of a workflow of somebody's own, which only has the type of one of our refusals."""


class Outcome(BaseModel):
    """How a task ended, or how far it had come when it was last asked; ``run --json`` prints it.

    Attributes:
        workflow_id: The workflow id; None if nothing was started.
        run_id: The run id; None if nothing was started.
        state: The task's state as on its board; None if nothing was started.
        output: What a completed task returned.
        failure: `step`, `type` and `message` of the first failure.
        undone: The steps that are undone, in the order in which their undos finished.
        not_undone: The steps that still lack an undo.
        usage: What was spent on models; None if no worker is left to tell.
        degraded: By step, why its output is less than what was meant: only what there was at a limit, or made
            by something that stood in after a failure; absent where all are whole.
        forced_end: ``terminated`` or ``timed_out`` if the server has ended the task without asking it.
        recovery: `workflow_id`, `state` and `undone` (steps) of the recovery that was started after the end,
            if there is one. It undoes what is `not_undone`.
        refused: Whether the workers have refused the task before anything of it had run.
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
    degraded: dict[str, str] = Field(default={}, exclude_if=lambda steps: not steps)
    forced_end: str | None = None
    recovery: dict[str, Any] | None = None
    refused: bool = Field(default=False, exclude=True)


async def end_of(handle: WorkflowHandle[Any, Any]) -> BaseException | Any:
    """Waits for the end of a task.

    Returns:
        The task's result, or the error that it ended with; `PayloadUnreadable` where it has completed and its
        result cannot be decoded here.
    """
    while True:
        try:
            return await handle.result()
        except PayloadUnreadable as unread:
            return unread
        except WorkflowFailureError as error:
            cause = error.cause
            if isinstance(cause, TerminatedError) and await _goes_on(handle):
                continue
            if (
                isinstance(cause, ApplicationError)
                and _is_refusal(cause)
                and not await _is_task(handle, cause)
            ):
                return _OwnFailure(cause.message, *cause.details, type=cause.type)
            return cause


def outcome_of(end: BaseException | Any, board: Mapping[str, Any] | None, ids: tuple[str, str]) -> Outcome:
    """Puts together what is known about a task that has ended.

    Args:
        end: The task's result or error, from `end_of`.
        board: The last board, if a worker could be asked for it.
        ids: The workflow id and the run id.

    Returns:
        The outcome.
    """
    workflow_id, run_id = ids
    if isinstance(end, PayloadUnreadable):
        return Outcome(workflow_id=workflow_id, run_id=run_id, state=TaskState.COMPLETED)
    if not isinstance(end, BaseException):
        is_task = isinstance(end, Mapping) and end.get("state") == TaskState.COMPLETED
        result: Mapping[str, Any] = end if is_task else {"output": end}
        return Outcome(
            workflow_id=workflow_id,
            run_id=run_id,
            state=TaskState.COMPLETED,
            output=result["output"],
            undone=tuple(result.get("undone", ())),
            not_undone=tuple(result.get("not_undone", ())),
            usage=result.get("usage"),
            degraded=result.get("degraded", {}),
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
        forced_end=_forced(end),
        refused=_is_refusal(end),
    )


def tells_all(end: BaseException | Any) -> bool:
    """Returns whether an end tells what was undone; for a cancelled task only its board does."""
    if not isinstance(end, BaseException) or isinstance(end, PayloadUnreadable):
        return True
    return bool(_details(end)) or _is_refusal(end)


def left_running(board: Mapping[str, Any] | None, ids: tuple[str, str]) -> Outcome:
    """Returns the outcome of a task that is still running."""
    known = board or {}
    state = known.get("state", TaskState.RUNNING)
    if state != TaskState.NEEDS_ATTENTION:
        return Outcome(workflow_id=ids[0], run_id=ids[1], state=state, usage=known.get("usage"))
    return Outcome(workflow_id=ids[0], run_id=ids[1], state=state, **_from_board(known))


def refusal_faults(end: BaseException | Any) -> list[Fault]:
    """Returns the faults for which the workers refused a task."""
    details = end.details if isinstance(end, ApplicationError) and _is_refusal(end) else ()
    found = details[0].get("faults", ()) if details and isinstance(details[0], Mapping) else ()
    return [Fault(fault["path"], fault["message"]) for fault in found]


async def _goes_on(handle: WorkflowHandle[Any, Any]) -> bool:
    """Returns whether the task goes on: a reset terminates the old run and starts another one."""
    return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING


async def _is_task(handle: WorkflowHandle[Any, Any], refusal: ApplicationError) -> bool:
    """Returns whether an end is that of a task; a workflow of somebody's own has begun before it fails."""
    name = (await handle.describe()).workflow_type
    return name == "AgentTask" or "." in name or refusal.type == FailureType.UNKNOWN_TASK


def _is_refusal(end: BaseException | Any) -> bool:
    """Returns whether the task itself was refused: then its end does not tell what was undone."""
    if not isinstance(end, ApplicationError) or isinstance(end, _OwnFailure):
        return False
    return end.type in REFUSALS and not _details(end)


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
    if _is_refusal(end) or (isinstance(end, ApplicationError) and end.type == FailureType.ROLLED_BACK):
        return TaskState.ROLLED_BACK
    ended = board.get("state") in (TaskState.ROLLED_BACK, TaskState.CANCELLED)
    # The task was terminated, timed out or broke, so as far as anybody can tell, all its effects still stand.
    return TaskState(board["state"]) if ended else TaskState.ROLLBACK_INCOMPLETE


def _forced(end: BaseException) -> str | None:
    return {TerminatedError: "terminated", TimeoutError: "timed_out"}.get(type(end))


def _failure(end: BaseException) -> dict[str, str]:
    if isinstance(end, ApplicationError):
        return {"step": "", "type": end.type or "ApplicationError", "message": end.message}
    kind = {CancelledError: FailureType.CANCELLED, TerminatedError: "Terminated", TimeoutError: "TimedOut"}
    name = kind.get(type(end), type(end).__name__)
    return {"step": "", "type": str(name), "message": str(end) or "the task was cancelled"}
