"""Child workflows of one task: each rolls back with its parent, running or finished."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    FailureError,
    TerminatedError,
    TimeoutError,
    WorkflowAlreadyStartedError,
)

from ..calls.activity_failure import NOTHING_RAN
from ..calls.approvals import CallApprovals
from ..calls.headers import CURRENT_HEADER, CallHeader
from ..duration import format_duration
from ..errors import FailureType
from ..failure import Failed, Failure, Stopped, trim
from ..history_format import APPROVALS, RECOVER_CHILD
from ..ledger.idempotency import idempotency_key
from ..ledger.ledger import Entry
from ..limits.budget import Budget
from ..limits.payload_size import MAX_PAYLOAD
from ..limits.usage import Usage
from ..record.task_record import TaskRecord
from ..temporal.load import BYTES_A_MICROSECOND, CALL_EFFORT, Load
from ..temporal.stop_scope import StopScope
from .allotments import Allotments
from .child_call import ChildCall
from .child_questions import ChildQuestions
from .handover import absorbed, read_handover

_UNDONE = frozenset({FailureType.ROLLED_BACK, FailureType.ROLLBACK_INCOMPLETE})


class ChildCaller:
    """Starts the child workflows of one task, and takes their ledgers over."""

    def __init__(
        self,
        record: TaskRecord,
        root_key: str,
        load: Load,
        approvals: CallApprovals,
        waits: ChildQuestions,
        allotments: Allotments,
        *,
        engine: int,
    ) -> None:
        """Prepares calls.

        Args:
            record: The task's record.
            root_key: See `idempotency_key`.
            load: Shared with the task's other calls.
            approvals: What is demanded of the calls of children.
            waits: What its children wait for.
            allotments: What they may spend.
            engine: By which rules the task is run, see `ENGINE`.
        """
        self._undoes_earlier = engine >= 8
        self._record = record
        self._root_key = root_key
        self._load = load
        self._approvals = approvals
        self._waits = waits
        self._allotments = allotments

    async def call(self, child: ChildCall, scope: StopScope) -> Any:
        """Runs a child to its end.

        While it runs, one entry of the ledger stands for all of it: should somebody end it by force, its
        effects are undone from its history. When it has completed, its own entries take that one's place.

        Args:
            child: What to start.
            scope: The part of the task that it belongs to; a stop cancels the child, which rolls back.

        Returns:
            Its result as JSON.

        Raises:
            Failed: It failed, was refused, cancelled or ended by somebody else, or took too long.
            Stopped: The scope is, or was, stopped.
        """
        scope.check(child.step)
        await self._load.children.enter(child.step, scope)
        try:
            return await self._call(child, scope)
        finally:
            self._load.children.leave()

    async def _call(self, child: ChildCall, scope: StopScope) -> Any:
        await self._load.pace.turn(CALL_EFFORT)
        payloads = workflow.payload_converter().to_payloads([child.input, *child.further])
        sizes = [payload.ByteSize() for payload in payloads]
        if max(sizes) > MAX_PAYLOAD:
            message = f"the input of {child.workflow} has {max(sizes)} bytes; the most is {MAX_PAYLOAD}"
            raise self._failed(child, FailureType.PAYLOAD_TOO_LARGE, message, nothing=True)
        self._load.pace.effort.add(sum(sizes) // BYTES_A_MICROSECOND)
        await self._load.outgoing.make_room(sum(sizes))
        scope.check(child.step)
        workflow_id = f"{workflow.info().workflow_id}/{child.id}"
        key = idempotency_key(self._root_key, child.path, child.round)
        self._record.arm(
            Entry(
                id=child.id,
                step=child.step,
                compensation=RECOVER_CHILD,
                key=key,
                depends_on=child.depends_on,
                input={"workflow_id": workflow_id},
                task_queue=child.task_queue,
            )
        )
        try:
            handle = await self._start(child, workflow_id, key, payloads)
        except (ChildWorkflowError, WorkflowAlreadyStartedError) as error:
            self._allotments.release(workflow_id)
            message = f"{child.workflow} was not started: {error}"
            if self._undoes_earlier and isinstance(error, WorkflowAlreadyStartedError):
                # One that was started before a reset goes on, and nobody else knows of it any more.
                self._record.settle(child.id)
                message += ", before a reset; it is cancelled and undone"
                raise self._failed(child, FailureType.CHILD_ENDED, message) from error
            self._record.void(child.id)
            raise self._failed(child, FailureType.CHILD_ENDED, message, nothing=True) from error
        return await self._outcome(child, handle, scope)

    async def _start(
        self, child: ChildCall, workflow_id: str, key: str, payloads: Sequence[Payload]
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        header = CallHeader(
            key=key,
            step=child.step,
            effect=child.effect,
            compensation=RECOVER_CHILD,
            ends_undone=child.ends_undone,
            allotment=self._allotments.give(workflow_id, child.path, child.budget or Budget()),
        )
        demanded = [
            one.model_dump(mode="json", exclude_defaults=True)
            for one in self._approvals.demanded_at(child.path)
        ]
        CURRENT_HEADER.set(header)
        try:
            starting = workflow.start_child_workflow(
                child.workflow,
                args=[RawValue(payload) for payload in payloads],
                id=workflow_id,
                task_queue=child.task_queue,
                result_type=RawValue,
                cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
                # The default ends a child without any undo when its parent is ended by force.
                parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                memo={APPROVALS: demanded} if demanded and not child.knows_approvals else None,
                static_summary=f"{child.step} of {workflow.info().workflow_id}"[:200],
            )
            return await starting
        finally:
            CURRENT_HEADER.set(None)  # not reset: after an eviction this runs in another context

    async def _outcome(
        self, child: ChildCall, handle: workflow.ChildWorkflowHandle[Any, Any], scope: StopScope
    ) -> Any:
        watch = _ChildWatch(child, handle, scope)
        watching = asyncio.create_task(watch.run())
        try:
            result: RawValue = await handle
        except ChildWorkflowError as error:
            self._count(child, handle.id, error.cause)
            raise self._ended(child, error, scope, too_late=watch.too_late) from error
        finally:
            watching.cancel()
            self._waits.over(handle.id)
        return self._absorb(child, handle.id, result, scope)

    def _absorb(self, child: ChildCall, workflow_id: str, result: RawValue, scope: StopScope) -> Any:
        handed = read_handover(workflow.payload_converter().from_payload(result.payload))
        self._allotments.release(workflow_id)
        self._record.void(child.id)
        entries = absorbed(
            handed,
            path=child.path,
            round_=child.round,
            step=child.step,
            depends_on=child.depends_on,
            built_on=None if child.built_on is None else child.built_on(handed),
        )
        self._record.absorb(entries, handed.compensations)
        self._record.absorb_usage(child.step, child.path, handed.usage)
        if handed.committed:
            self._record.commit(child.step)
            scope.seal()
        return handed.result

    def _ended(
        self, child: ChildCall, error: ChildWorkflowError, scope: StopScope, *, too_late: bool
    ) -> Failed:
        failed = self._read_end(child, error, too_late=too_late)
        if failed.not_applied:
            self._record.void(child.id)
        else:
            self._record.settle(child.id)
        if scope.reason is None:
            return failed
        return Stopped(child.step, scope.reason, not_applied=failed.not_applied)

    def _count(self, child: ChildCall, workflow_id: str, cause: BaseException | None) -> None:
        """Adds what a child has spent that has not completed, as far as it is known."""
        told, most = self._allotments.release(workflow_id)
        if told is None and isinstance(cause, ApplicationError) and cause.type in _UNDONE and cause.details:
            told = Usage.model_validate(cause.details[0]["usage"])
        if told is None and isinstance(cause, TerminatedError | TimeoutError):
            # Nobody knows what it has spent.
            told = most.used_up() if most.binds else None
            counts = "its part of the budget counts as spent" if most.binds else "it does not count"
            said = f"what the child has spent is not known, and {counts}"
            self._record.log.add("counterstep", said, child.step)
        if told is not None:
            self._record.absorb_usage(child.step, child.path, told)

    def _read_end(self, child: ChildCall, error: ChildWorkflowError, *, too_late: bool) -> Failed:
        cause = error.cause
        if isinstance(cause, CancelledError):
            if too_late and child.timeout is not None:
                message = f"{child.workflow} took longer than {format_duration(child.timeout)}"
                return self._failed(child, FailureType.TIMEOUT, message, nothing=child.ends_undone)
            message = f"{child.workflow} was cancelled by somebody"
            return self._failed(child, FailureType.CHILD_ENDED, message, nothing=child.ends_undone)
        if isinstance(cause, TerminatedError | TimeoutError):
            how = "terminated" if isinstance(cause, TerminatedError) else "ended by its timeout"
            return self._failed(child, FailureType.CHILD_ENDED, f"{child.workflow} was {how}")
        if isinstance(cause, ApplicationError):
            type_ = cause.type or "Error"
            if type_ == FailureType.ROLLED_BACK and cause.details:
                type_ = cause.details[0].get("failure", {}).get("type", type_)
            undone = cause.type == FailureType.ROLLED_BACK or cause.type in NOTHING_RAN
            return self._failed(child, type_, cause.message, nothing=undone)
        return self._failed(child, type(cause or error).__name__, str(cause or error))

    @staticmethod
    def _failed(child: ChildCall, type_: str, message: str, *, nothing: bool = False) -> Failed:
        failure = Failure(step=child.step, type=type_, message=trim(message))
        return Failed(failure, not_applied=nothing)


class _ChildWatch:
    """Cancels a child when its time has come.

    Attributes:
        too_late: Whether it was cancelled because it took too long.
    """

    def __init__(
        self, child: ChildCall, handle: workflow.ChildWorkflowHandle[Any, Any], scope: StopScope
    ) -> None:
        """Watches a child; a stop of `scope` cancels it."""
        self.too_late = False
        self._child = child
        self._handle = handle
        self._scope = scope

    async def run(self) -> None:
        """Waits, and cancels once."""
        try:
            await workflow.wait_condition(
                lambda: self._scope.stopped, timeout=self._child.timeout, timeout_summary="timeout of a child"
            )
        except asyncio.TimeoutError:  # noqa: UP041 - the short name is Temporal's
            self.too_late = True
        # Its handle would cancel its first run, and the request is lost where that has continued as new.
        with suppress(FailureError):
            await workflow.get_external_workflow_handle(self._handle.id).cancel()
