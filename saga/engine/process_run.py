"""The child workflow of one run of a process agent: its hosts, its requests, and what it did."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as CallTimeout

from ..agents.ask_person import person_for
from ..agents.conversation_state import packed
from ..agents.delegates import Delegates
from ..agents.foreign.host_protocol import HostEnd, HostJob
from ..agents.foreign.process_state import ProcessAnswer, ProcessState
from ..agents.model_protocol import WAYS_OUT
from ..agents.toolbox import Toolbox
from ..calls.call import Call, as_json
from ..counted import counted
from ..effect import Effect
from ..errors import FailureType
from ..failure import Failed, Failure, trim
from ..history_format import HOST, PROCESS_AGENT
from ..ledger.ledger import EntryState
from ..ledger.rewiring import with_replaced
from ..record.task_state import TaskState
from ..spec.retry import Retry
from ..temporal.stop_scope import StopScope
from .host_desk import HostDesk
from .moved_run import MovedRun, read_state

PATIENCE: Final = timedelta(seconds=30)
"""How long a process is kept that waits for a person or a limit; it is started again with the answer."""

MOST_LOST: Final = 10
"""How many hosts in a row may vanish without that the agent has asked for anything new."""

_ONCE: Final = Retry(attempts=1)


async def run_process_agent(state: RawValue, given: RawValue) -> Any:
    """Runs a process agent.

    Args:
        state: See `ProcessState`.
        given: ``{"given": INPUT}``.

    Returns:
        A `ProcessAnswer` as JSON.

    Raises:
        ApplicationError: No task has started this, or the arguments are wrong, and nothing has run; or the
            agent has failed, and what it did is undone.
        asyncio.CancelledError: It was cancelled, and everything is undone.
    """
    return await _ProcessRun(read_state(ProcessState, PROCESS_AGENT, state, given)).run()


class _ProcessRun(MovedRun):
    """One run; it never continues as new, as that would cut its host off."""

    def __init__(self, state: ProcessState) -> None:
        """Begins a run."""
        self._state = state
        agent = state.agent
        catalog = state.others.with_agent(agent, state.tools, state.compensations)
        super().__init__(state, "process", agent.name, state.job.step, catalog)
        context = self.context
        self._toolbox = Toolbox(
            agent.name,
            state.tools,
            state.job,
            self.record,
            context.caller,
            context.rollback,
            built_on=frozenset(),
            engine=state.engine,
            ask_person=person_for(agent, context.questions),
            delegates=Delegates.of(
                agent, state.others, state.job, self.record, context.rollback, context.agents.run
            ),
        )
        self._desk = HostDesk(state, self._toolbox, context.models, self.scope, self._take_back)
        self._taking_back = asyncio.Lock()

    async def go(self) -> tuple[ProcessAnswer, Any]:
        """See `MovedRun`."""
        try:
            end = await self._answered()
        finally:
            await self._desk.end()
            await self._outlast_undos()
        if self._desk.fatal is not None:
            raise self._desk.fatal
        if end.loose:
            name = self._state.agent.name
            self.record.log.add(name, f"recognizes {counted(end.loose, 'request')} loosely only", self._step)
        left = [key for key in self._desk.book.effects if key not in end.asked]
        if left:
            await self._take_back(tuple(left), f"{self._state.agent.name} has not asked for it again")
        stands = [
            call
            for call in self._toolbox.executed
            if call.entry is None or self.record.ledger[call.entry].state is EntryState.SETTLED
        ]
        models = tuple(sorted(self._desk.models))
        answer = ProcessAnswer(output=end.output, calls=packed(stands), models=models, **self.told())
        return answer, answer.output

    # --- its hosts

    async def _answered(self) -> HostEnd:
        """Runs one host after the other until one has an answer."""
        lost = tries = asked = 0
        while True:
            await self._outlast_undos()
            self.scope.check(self._step)
            host = self._desk.open()
            try:
                raw = await self._host(host)
            except Failed as failed:
                self.scope.check(self._step)
                if self._desk.fatal is not None:
                    raise self._desk.fatal from failed
                if host.stopped:  # it was away for a person, whatever it has ended with
                    await self._outlast_waits()
                    continue
                tries, lost = (tries, lost + 1) if _is_lost(failed) else (tries + 1, 0)
                if self._desk.book.taken > asked:
                    lost = 0
                if lost > MOST_LOST or tries >= self._state.job.retry.attempts or _is_final(failed):
                    raise
                await self._pause(max(tries, lost))
            else:
                return HostEnd.model_validate(as_json(raw))
            finally:
                self._desk.close()
                asked = self._desk.book.taken

    async def _host(self, scope: StopScope) -> RawValue:
        state, desk = self._state, self._desk
        process = state.agent.process
        assert process is not None
        job = HostJob(
            agent=state.agent.name,
            attempt=desk.attempt,
            input=state.given,
            told=None if state.job.say is None else dict(state.job.say),
            feedback=state.job.feedback,
            tools=tuple(tool for tool in self._toolbox.offered() if tool.name not in WAYS_OUT),
            models=state.asked,
            output_schema=state.agent.output_schema,
            loose=process.loose,
        )
        call = Call(
            step=self._step,
            path=f"{state.job.path}/host.{desk.attempt}",
            activity=HOST,
            args=(job.model_dump(mode="json", exclude_defaults=True),),
            effect=Effect.READ_ONLY,
            round=state.job.round,
            timeout=state.timeout,
            retry=_ONCE,
            summary=f"{state.agent.name}, process {desk.attempt}"[:200],
            options={"cancellation_type": workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED},
        )
        watching = asyncio.create_task(self._watch(scope))
        try:
            return await self.context.caller.call(call, scope)
        finally:
            watching.cancel()

    async def _watch(self, host: StopScope) -> None:
        """Ends a host that has waited for people, or for a limit of the pool, for a while."""
        while not host.stopped:
            await workflow.wait_condition(lambda: host.stopped or self._waits)
            try:
                await workflow.wait_condition(
                    lambda: host.stopped or not self._waits,
                    timeout=PATIENCE,
                    timeout_summary="how long a process is kept that waits",
                )
            except TimeoutError:
                host.stop("it waits, and is started again with the answer")

    @property
    def _waits(self) -> bool:
        """Whether nothing goes on in this run but that its host waits."""
        is_waiting = self.record.state in (TaskState.WAITING, TaskState.NEEDS_ATTENTION)
        return is_waiting and self.context.load.calls.inside <= 1 and not self.context.load.children.inside

    async def _outlast_waits(self) -> None:
        """Waits until what the process was waiting for has come."""
        await workflow.wait_condition(lambda: self.scope.stopped or not self._desk.book.under_way)

    async def _pause(self, times: int) -> None:
        retry = self._state.job.retry
        pause = min(retry.initial * retry.factor ** (times - 1), retry.max)
        try:
            await workflow.wait_condition(
                lambda: self.scope.stopped,
                timeout=pause,
                timeout_summary="before the process is started again",
            )
        except TimeoutError:
            return

    # --- what it did

    async def _outlast_undos(self) -> None:
        """Waits for undos that a departure has begun: its process may have ended meanwhile."""
        if self._state.engine >= 7:  # before, they were cut off, or the next process went on without them
            await workflow.wait_condition(lambda: not self._taking_back.locked())

    async def _take_back(self, keys: tuple[str, ...], why: str) -> None:
        """Undoes what requests have done, one set of them after the other."""
        if self._state.engine < 7:
            await self._undo(keys, why)
            return
        async with self._taking_back:
            if left := tuple(key for key in keys if key in self._desk.book.effects):
                await self._undo(left, why)

    async def _undo(self, keys: tuple[str, ...], why: str) -> None:
        """Undoes what requests have done; what was built on it stands, on what that was built on."""
        desk, ledger = self._desk, self.record.ledger
        done = frozenset(entry for key in keys for entry in desk.book.effects[key])
        gone = frozenset(entry for entry in done if ledger[entry].state is EntryState.SETTLED)
        below = {entry: ledger[entry].depends_on for entry in gone}
        moved = {
            entry: with_replaced(ledger[entry].depends_on, below) for entry in ledger.dependents(gone) - gone
        }
        if moved:
            self.record.rewire(moved, gone=gone)
        self._toolbox.built_on -= gone
        if not await self.context.rollback.run(why, within=gone, scope=self.scope):
            self.scope.check(self._step)
            message = "an undo of what the process has not asked for again is stuck"
            raise Failed(Failure(step=self._step, type=FailureType.ABANDONED, message=trim(message)))
        desk.book.forget(keys)
        if self._state.engine >= 7:  # before, a call that was undone was told as done to who asked again
            self._toolbox.earlier.forget(keys)


def _is_lost(failed: Failed) -> bool:
    """Says whether a host has vanished with its worker, and the agent has not failed."""
    cause = _cause(failed)
    if isinstance(cause, CallTimeout):
        return cause.type in (TimeoutType.HEARTBEAT, TimeoutType.SCHEDULE_TO_START)
    return failed.failure.type in (FailureType.HOST_GONE, FailureType.STALE_HOST)


def _is_final(failed: Failed) -> bool:
    """Says whether another process would fail as well: nothing to start, or no time left."""
    cause = _cause(failed)
    if isinstance(cause, ApplicationError):
        return cause.non_retryable
    return isinstance(cause, CallTimeout) and not _is_lost(failed)


def _cause(failed: Failed) -> BaseException | None:
    error = failed.__cause__
    return error.cause if isinstance(error, ActivityError) else None
