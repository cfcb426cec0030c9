"""The one door from a task to its activities: each call is recorded, keyed, measured and timed here."""

from __future__ import annotations

from asyncio import Future, sleep
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ActivityError

from ..errors import FailureType
from ..failure import Failed, Failure, Stopped, trim
from ..history_format import MODEL_CALLS
from ..ledger.idempotency import idempotency_key
from ..ledger.ledger import Entry
from ..limits.payload_size import MAX_PAYLOAD, UNDO_OVERHEAD
from ..record.task_record import TaskRecord
from ..temporal.load import BYTES_A_MICROSECOND, CALL_EFFORT, Load
from ..temporal.stop_scope import StopScope
from . import unknown_names
from .activity_failure import may_land_for, read_failure
from .approvals import CallApprovals
from .call import Call, Executed, Guard, as_json
from .counted_calls import CountedCalls
from .headers import CallHeader
from .limit_waits import LimitWaits
from .reset_gate import ResetGate
from .scheduling import names_of, start

T = TypeVar("T")


class Caller:
    """Makes the calls of one task.

    Attributes:
        load: Bounds what is under way, and what is done at a time.
        reset_gate: Every call passes it, so that a reset is noticed before anything is called.
        guard: Every call passes it, with the arguments with which it is made; None for none.
        counted: Finds room for what budgets count, and counts it.
    """

    def __init__(
        self,
        record: TaskRecord,
        root_key: str,
        reset_gate: ResetGate,
        load: Load,
        approvals: CallApprovals,
        limit_waits: LimitWaits,
        engine: int,
    ) -> None:
        """Prepares the calls of one task.

        Args:
            record: The task's record.
            root_key: See `idempotency_key`.
            reset_gate: See the attributes.
            load: See there.
            approvals: Every call that needs a person's yes passes them.
            limit_waits: Lets calls wait for limits of the pool.
            engine: See `Snapshot`.
        """
        self._record = record
        self.reset_gate = reset_gate
        self._root_key = root_key
        self._approvals = approvals
        self.load = load
        self._limit_waits = limit_waits
        self._offers_again = engine >= 2
        self.counted = CountedCalls(record, engine=engine)
        self._keeps_room = engine >= 6
        self.guard: Guard | None = None

    async def call(self, call: Call, scope: StopScope) -> RawValue:
        """Makes one forward call; its undo is in the ledger before it is scheduled.

        Args:
            call: What to call.
            scope: The part of the task that it belongs to.

        Returns:
            The result as the data converter's payload.

        Raises:
            Stopped: The scope is, or was, stopped.
            Failed: The call failed past its retries, timed out, or is too large, the history is full, or a
                person has not allowed it.
        """
        return (await self.execute(call, scope)).result

    async def approve(self, call: Call, scope: StopScope) -> Call:
        """Waits for the yes that a call needs, which counts then when it is made; raises as `call`.

        Returns:
            The call as it was approved.
        """
        approvals = self._approvals.of(call)
        if not approvals:
            return call
        await self._expect_leave(call, scope)
        read_before = partial(self._before, scope=scope)
        settled = await self._approvals.settle(call, approvals, read_before, scope)
        self._approvals.keep(settled)
        return settled.call

    async def execute(self, call: Call, scope: StopScope) -> Executed:
        """Does what `call` does, and returns the call as it was made as well."""
        await self._expect_leave(call, scope)
        approvals = self._approvals.of(call)
        if not approvals:
            return Executed(call, await self._make(call, await self._before(call, scope), scope))
        read_before = partial(self._before, scope=scope)
        settled = await self._approvals.settle(call, approvals, read_before, scope)
        try:
            await self._expect_leave(settled.call, scope)
            result = await self._make(settled.call, settled.before, scope)
        except Failed:
            self._approvals.keep(settled)
            raise
        return Executed(settled.call, result)

    async def _make(self, call: Call, before: Any, scope: StopScope) -> RawValue:
        if call.uses_tool:
            await self.counted.expect_room(call.step, call.path, scope)
        with self.counted.tool_call(call.step, call.path) if call.uses_tool else nullcontext():
            if await self.load.calls.enter(call.step, scope):
                await self._give_back_on_error(self._expect_leave(call, scope))
            begin = await self._give_back_on_error(self._prepare(call, before, scope))
        try:
            result = await self._answer_of_any_worker(call, begin, scope)
        except Stopped as stopped:
            if call.compensation is not None:
                self._record.settle(call.id)
            raise Stopped(call.step, stopped.failure.message, not_applied=False) from stopped
        except ActivityError as error:
            failed = read_failure(call, error, scope.reason)
            await self._settle_failed(call, error, failed)
            raise failed from error
        if call.compensation is not None:
            self._settle(call, result)
        return result

    async def _expect_leave(self, call: Call, scope: StopScope) -> None:
        """Raises where nothing new is to be called."""
        scope.check(call.step)
        await self.reset_gate.pass_gate(call.step, scope)
        if self.load.is_history_full(self._record.ledger.count_open()):
            message = "the history of the task has room left for its undos only"
            failure = Failure(step=call.step, type=FailureType.HISTORY_FULL, message=message)
            raise Failed(failure, not_applied=True)
        if self.guard is not None:
            await self.guard(call, scope)

    async def _give_back_on_error(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except BaseException:
            self.load.calls.leave()
            raise

    async def _answer(self, call: Call, future: Future[Any], scope: StopScope) -> RawValue:
        try:
            result: RawValue = await (
                scope.interruptible(call.step, future) if call.may_be_interrupted else future
            )
        finally:
            self.load.calls.leave()
        return result

    async def _answer_of_any_worker(
        self, call: Call, begin: Callable[[Call], Future[Any]], scope: StopScope
    ) -> RawValue:
        """Offers a call again that no worker has begun: none knows the activity, or a limit is reached."""
        began = workflow.now()
        while True:
            try:
                return await self._answer(call, begin(call), scope)
            except ActivityError as error:
                failed = read_failure(call, error, scope.reason)
                unknown = failed.not_applied and failed.failure.type == FailureType.UNKNOWN_ACTIVITY
                gives_up = workflow.now() - began >= unknown_names.PATIENCE
                if not (unknown and self._offers_again and not gives_up) and failed.until is None:
                    raise
                refused = error
            if failed.until is not None:
                call = call.with_fewer_attempts(failed.made)
                await self._outlast(call, failed, refused, scope)
                if self._keeps_room and self.load.is_history_full(self._record.ledger.count_open()):
                    raise refused
            else:
                pause = unknown_names.PAUSE
                await workflow.sleep(pause, summary=f"no worker knows {call.activity} yet"[:200])
            scope.check(call.step)
            await self.load.calls.enter(call.step, scope)

    async def _outlast(self, call: Call, failed: Failed, error: ActivityError, scope: StopScope) -> None:
        """Waits for a limit of the pool; a model call gives back its room in the budget for the while."""
        if call.activity in MODEL_CALLS or not call.retry.attempts:
            raise error
        try:
            await self._limit_waits.outlast(call.step, call.path, failed, scope)
            return
        except Stopped:
            raise
        except Failed:
            pass
        raise error  # not from None: what it means is in its cause

    async def _prepare(self, call: Call, before: Any, scope: StopScope) -> Callable[[Call], Future[Any]]:
        await self.load.pace.turn(CALL_EFFORT)
        payloads = workflow.payload_converter().to_payloads(list(call.args))
        size = sum(payload.ByteSize() for payload in payloads)
        self.load.pace.effort.add(size // BYTES_A_MICROSECOND)
        room = self._room(call, size, before)
        key = self.key_of(call)
        await self.load.outgoing.make_room(size)
        scope.check(call.step)
        if call.compensation is not None:
            self._record.arm(self._entry(call, key, before))
        header = CallHeader(
            key=key,
            step=call.step,
            effect=call.effect,
            compensation=call.compensation,
            max_result=room,
            retry=None if "retry_policy" in call.options else call.retry,
            names=names_of(call),
            owner=call.owner,
        )
        return partial(start, args=[RawValue(payload) for payload in payloads], header=header)

    def key_of(self, call: Call) -> str:
        """Returns the idempotency key of a call."""
        return call.key or idempotency_key(self._root_key, call.path, call.round)

    async def undo(self, entry: Entry, reason: str) -> None:
        """Calls the compensation of an entry, unless it has finished in a run that a reset has replaced.

        Raises:
            Failed: It failed past its retries.
        """
        await self.load.undos.enter()
        try:
            await self._undo(entry, reason)
        finally:
            self.load.undos.leave()

    async def _undo(self, entry: Entry, reason: str) -> None:
        if await self.reset_gate.is_undone(entry):
            return
        undo = {
            "input": entry.input,
            "output": entry.output,
            "before": entry.before,
            "idempotency_key": entry.key,
            "reason": trim(reason),
            "step": entry.step,
            "task_id": self._record.task_id,
        }
        call = Call.undoing(entry, self._record.compensations.get(entry.compensation), undo)
        elsewhere = self._record.task_id != workflow.info().workflow_id
        header = CallHeader(
            key=entry.key,
            step=entry.step,
            retry=call.retry,
            task_id=self._record.task_id if elsewhere else None,
        )
        await self.load.pace.turn(CALL_EFFORT)
        payload = workflow.payload_converter().to_payload(undo)
        size = payload.ByteSize()
        self.load.pace.effort.add(size // BYTES_A_MICROSECOND)
        await self.load.outgoing.make_room(size)
        try:
            await start(call, [RawValue(payload)], header)
        except ActivityError as error:
            raise read_failure(call, error, None) from error

    async def local(
        self, activity: str, arg: Any, *, activity_id: str, timeout: timedelta, summary: str
    ) -> Any:
        """Runs a short local activity and returns its JSON result; raises temporalio's ActivityError."""
        await self.load.pace.turn(CALL_EFFORT)
        await self.load.make_room_for_answer()
        return await workflow.execute_local_activity(
            activity,
            arg,
            start_to_close_timeout=timeout,
            schedule_to_close_timeout=timedelta(minutes=1),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=5),
            activity_id=activity_id,
            summary=summary,
        )

    async def _before(self, call: Call, scope: StopScope) -> Any:
        return None if call.before is None else as_json(await self.call(call.reading_before(), scope))

    def _room(self, call: Call, size: int, before: Any) -> int:
        """Returns how large the result may be, so that the undo's argument stays within the limit too."""
        if call.compensation is None:
            room = MAX_PAYLOAD
        else:
            before_size = 0 if before is None else workflow.payload_converter().to_payload(before).ByteSize()
            room = MAX_PAYLOAD - size - before_size - UNDO_OVERHEAD
        if size > MAX_PAYLOAD or room <= 0:
            message = (
                f"the input of {call.activity} has {size} bytes; "
                f"calls and their undos carry at most {MAX_PAYLOAD}"
            )
            failure = Failure(step=call.step, type=FailureType.PAYLOAD_TOO_LARGE, message=message)
            raise Failed(failure, not_applied=True)
        return room

    def _entry(self, call: Call, key: str, before: Any) -> Entry:
        assert call.compensation is not None
        return Entry(
            id=call.id,
            step=call.step,
            compensation=call.compensation,
            key=key,
            depends_on=call.depends_on,
            input=call.input,
            before=before,
            task_queue=call.task_queue,
        )

    def _settle(self, call: Call, result: RawValue) -> None:
        try:
            output = as_json(result)
        except Exception as error:
            self._record.settle(call.id)
            message = trim(f"the result of {call.activity} cannot be read: {error}")
            raise Failed(Failure(step=call.step, type=FailureType.INVALID_OUTPUT, message=message)) from error
        self._record.settle(call.id, output)

    async def _settle_failed(self, call: Call, error: ActivityError, failed: Failed) -> None:
        if call.compensation is None:
            return
        if failed.not_applied:
            self._record.void(call.id)
            return
        wait = may_land_for(call, error)
        if wait is not None:
            await sleep(wait.total_seconds())
        self._record.settle(call.id)
