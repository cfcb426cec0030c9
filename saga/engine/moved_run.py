"""One run of a child workflow in which a part of its parent goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from ..calls.headers import PARENT
from ..children.moved import MovedAnswer, MovedState
from ..errors import FailureType
from ..failure import Failed, Failure, trim
from ..history_format import FORMAT_VERSION
from ..ledger.carry_over import CarriedEntry, carry
from ..limits.payload_size import MAX_PAYLOAD
from ..record.carried_record import CarriedRecord
from ..record.step_record import StepRecord, StepState
from ..spec.catalog import Catalog
from ..spec.snapshot import Snapshot
from ..temporal.cancel_watch import CancelWatch
from ..temporal.stop_scope import StopScope
from .lifecycle import Lifecycle, failure_of
from .opening import open_record
from .run_context import RunContext

SAID = 200_000
"""Bytes of what teams have said to members that go to the parent with their moves."""

S = TypeVar("S", bound=MovedState)


class MovedRun(ABC):
    """One run of a child: the same life, whatever goes on in it.

    Attributes:
        record: Everything that it remembers.
        context: What it is run with.
        scope: Stopped when the child is cancelled.
    """

    def __init__(self, state: MovedState, kind: str, who: str, step: str, catalog: Catalog) -> None:
        """Takes up what the parent, or an earlier run, has handed on.

        Args:
            state: That.
            kind: What goes on here, e.g. ``conversation``.
            who: Whose, by name.
            step: The parent's step.
            catalog: What is needed for it.
        """
        self._moved = state
        self._kind = kind
        self._who = who
        self._step = step
        self.record = open_record(who, state.goal, state.budget)
        earlier = CarriedRecord(
            steps={},
            usage=state.so_far.usage,
            log=[],
            lines=0,
            moves=list(state.so_far.moves),
            decided=list(state.so_far.decided),
            undo_order=state.so_far.undo_order,
            undo_times=state.so_far.undo_times,
            entries=state.entries,
        )
        self.record.restore(earlier)
        self.record.past_pivot = state.past_pivot
        self.record.consent = state.consent
        self.record.policies.say("", state.on_limit)
        self.record.policies.expect_rung("", comes=state.falls_back)
        snapshot = Snapshot(
            task=who,
            catalog=catalog,
            search_attributes=state.search_attributes,
            engine=state.engine,
            approvals=state.approvals,
            notify=state.notify,
            models=state.models,
            pool=state.pool,
        )
        self.context = RunContext.assemble(
            self.record, snapshot, state.task, sequential=state.sequential, give_up=state.give_up
        )
        self.scope = StopScope()
        self._life = Lifecycle(self.context)
        self._cancel = CancelWatch()
        self._cancelled = f"the {kind} was cancelled"

    async def run(self) -> Any:
        """Runs to the end, or to the next run; returns the answer as JSON."""
        return await self._cancel.outlast(self.context.notices.after(self._run()), self._stop)

    @abstractmethod
    async def go(self) -> tuple[MovedAnswer, Any]:
        """Goes on to the end; returns what the parent gets, and what the board shows."""

    async def _run(self) -> Any:
        step, spent = self._step, self.record.spending.usage
        self.record.add_step(step, StepRecord("agent", self._who))
        self.record.steps[step].spend(spent.model_calls, spent.tokens, spent.usd)  # in earlier runs
        if self._moved.carried is None:
            self._life.begin()
        self.record.start_step(step)
        try:
            answer, shown = await self.go()
            self.scope.check(step)
        except Exception as error:
            raise await self._backward(error) from None
        self.record.end_step(step, StepState.COMPLETED, shown)
        self._life.complete()
        return answer.as_json()

    def _stop(self) -> None:
        self.scope.stop(self._cancelled)

    async def continue_as_new(self, pack: Callable[[], tuple[MovedState, Mapping[str, Any]]]) -> None:
        """Goes on in a new run; returns where the child was cancelled before that.

        Args:
            pack: Returns what the next run is given: the state, and what grows.

        Raises:
            Failed: What there is cannot be carried on, or the child was cancelled.
        """
        await workflow.wait_condition(workflow.all_handlers_finished)
        await self.context.notices.linger()
        if workflow.cancellation_reason() is not None:
            self._stop()
            self.scope.check(self._step)
        state, grown = pack()
        payloads = workflow.payload_converter().to_payloads([[state.as_json()], grown])
        if any(payload.ByteSize() > MAX_PAYLOAD for payload in payloads):
            raise self.too_long(f"the {self._kind} of {self._who} is too large to be carried on")
        workflow.continue_as_new(args=[RawValue(payload) for payload in payloads])

    def carried(self) -> dict[str, Any]:
        """Returns what is the same of every state with which the next run goes on."""
        entries: list[CarriedEntry] = carry(self.record.ledger)
        return {"carried": FORMAT_VERSION, "entries": tuple(entries), "consent": self.record.consent}

    def work(self) -> dict[str, Any]:
        """Returns what every child has done so far."""
        return {
            "usage": self.record.spending.usage,
            "undo_order": tuple(self.record.undo_order),
            "undo_times": self.record.undos.times,
            "moves": tuple(self.record.teams.carried()),
            "decided": tuple(self.record.log.decided.carried()),
        }

    def told(self) -> dict[str, Any]:
        """Returns what every parent gets to know."""
        return {
            "always": self.record.consent.always,
            "moves": tuple(self.record.teams.carried(SAID)),
            "decided": tuple(self.record.log.decided.carried()),
            "degraded": self.record.steps[self._step].degraded or "",
        }

    def too_long(self, message: str) -> Failed:
        """Returns what to raise where what was done can be carried no further."""
        type_ = FailureType.CONVERSATION_TOO_LONG
        return Failed(Failure(step=self._step, type=type_, message=trim(message)))

    async def _backward(self, error: Exception) -> BaseException:
        cancelled = self._cancel.requested and self.scope.reason == self._cancelled
        failure = failure_of(error)
        if cancelled:
            failure = Failure(step="", type=FailureType.CANCELLED, message=self._cancelled)
        state = StepState.CANCELLED if cancelled else StepState.FAILED
        self.record.end_step(self._step, state, error=failure.message)
        await self._life.undo(failure)
        ended = self._life.ended(cancelled=cancelled, cause=error)
        decided = {"moves": self.record.teams.carried(), "decided": self.record.log.decided.carried()}
        if isinstance(ended, ApplicationError):  # the parent has no other way to learn of them
            ended.details[0].update({key: kept for key, kept in decided.items() if kept})
        return ended


def read_state(state: type[S], type_: str, first: RawValue, second: RawValue) -> S:
    """Reads the arguments; nobody but a task starts such a child, and nobody at all a continued run.

    Args:
        state: As what.
        type_: The type of the workflow.
        first: What was handed on.
        second: What grows of it.

    Raises:
        ApplicationError: They are wrong, and nothing has run.
    """
    info = workflow.info()
    if info.parent is None or PARENT.get() is None:
        raise _refused(type_, "only a task starts it, for an agent of its own")
    if not isinstance(first, RawValue) or not isinstance(second, RawValue):
        raise _refused(type_, "it takes two arguments")  # with one the SDK has decoded it
    converter = workflow.payload_converter()
    is_continued = info.continued_run_id is not None
    try:
        value = converter.from_payload(first.payload)
        grown = converter.from_payload(second.payload)
        read = state.model_validate({**(value[0] if is_continued else value), **grown})
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
        raise _refused(type_, f"the argument cannot be gone on with: {error}") from None
    if not is_continued and (read.carried is not None or read.entries or read.so_far != type(read.so_far)()):
        raise _refused(type_, "what it has done itself it takes from an earlier run of its own only")
    return read


def _refused(type_: str, reason: str) -> ApplicationError:
    return ApplicationError(f"{type_}: {reason}", type=FailureType.INVALID_INPUT, non_retryable=True)
