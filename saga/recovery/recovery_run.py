"""Undoes what a task has left behind that was terminated, timed out or has failed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from ..calls.adoption import adopt
from ..engine.lifecycle import Lifecycle
from ..engine.opening import open_record, take_snapshot
from ..engine.run_context import RunContext
from ..failure import Failure
from ..history_format import READ_OUTSTANDING
from ..record.board import board
from ..record.task_record import TaskRecord
from ..record.undo_progress import undone_steps
from ..spec.snapshot import SnapshotRequest
from ..temporal.cancel_watch import CancelWatch
from .recovery_id import RecoveryId
from .request import RecoveryPage, RecoveryRequest

_LONGEST_READ = timedelta(minutes=10)
_READ_HEARTBEAT = timedelta(seconds=30)


async def run_recovery(argument: RawValue) -> dict[str, Any]:
    """Undoes what a task has left behind; a cancel does not disturb it.

    Args:
        argument: A `RecoveryRequest`, or null where the workflow id says it all: whoever starts a recovery
            needs no key then, where payloads are encrypted.

    Returns:
        ``undone`` and ``not_undone``, the ids of steps; the latter stay because a person had said so before.

    Raises:
        ApplicationError: The task may not be recovered (types in `Refusal`), or an undo was skipped
            (``SagaRollbackIncomplete``).
    """
    value = workflow.payload_converter().from_payload(argument.payload)
    if value is None:
        id_ = RecoveryId.parse(workflow.info().workflow_id)
        request = RecoveryRequest(workflow_id=id_.workflow_id, run_id=id_.run_id)
    else:
        request = RecoveryRequest.model_validate(value)
    return await CancelWatch().outlast(RecoveryRun(request).run(), lambda: None)


class RecoveryRun:
    """One recovery."""

    def __init__(self, request: RecoveryRequest) -> None:
        """Prepares the recovery that a request asks for."""
        self._request = request

    async def run(self) -> dict[str, Any]:
        """See `run_recovery`."""
        record = open_record("?")
        # Compensations are told of the task, people of the recovery: it is what they may have to answer.
        record.task_id, own_id = self._request.workflow_id, record.task_id
        workflow.set_query_handler("board", lambda: {**board(record), "task_id": own_id})
        snapshot = await take_snapshot(SnapshotRequest())
        page = await self._read()
        record.describe(page.task, f"Undo what {self._request.workflow_id} has left behind.")
        context = RunContext.assemble(record, snapshot, sequential=page.sequential)
        context.reset_gate.makes_calls = False
        life = Lifecycle(context)
        life.begin()
        while True:
            await self._undo(page, record, life)
            if not page.more:
                break
            # Before something is skipped, because that decides how this ends.
            if workflow.info().is_continue_as_new_suggested() and not record.ledger.remaining():
                await self._continue(record)
            page = await self._read()
        await context.notices.linger()
        if record.ledger.remaining():
            raise life.ended(cancelled=False, cause=None)
        life.complete()
        return {
            "undone": [*self._request.undone, *undone_steps(record.ledger, record.undo_order)],
            "not_undone": list(page.left_alone),
        }

    async def _undo(self, page: RecoveryPage, record: TaskRecord, life: Lifecycle) -> None:
        await adopt(record, page.entries)
        type_, message = page.ending
        await life.undo(Failure(step="", type=type_, message=message))

    async def _read(self) -> RecoveryPage:
        try:
            page = await workflow.execute_activity(
                READ_OUTSTANDING,
                self._request.model_dump(mode="json"),
                start_to_close_timeout=_LONGEST_READ,
                heartbeat_timeout=_READ_HEARTBEAT,
                retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=1)),
                summary=f"read what {self._request.workflow_id} has left behind"[:200],
            )
        except ActivityError as error:
            cause = error.cause
            if isinstance(cause, ApplicationError):
                raise ApplicationError(cause.message, type=cause.type, non_retryable=True) from None
            raise
        return RecoveryPage.model_validate(page)

    async def _continue(self, record: TaskRecord) -> None:
        await workflow.wait_condition(workflow.all_handlers_finished)
        undone = (*self._request.undone, *undone_steps(record.ledger, record.undo_order))
        request = self._request.model_copy(update={"undone": undone})
        workflow.continue_as_new(request.model_dump(mode="json"))
