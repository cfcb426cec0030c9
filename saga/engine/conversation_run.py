"""The child workflow in which a long conversation goes on, run after run."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from ..agents import agent_loop as limits
from ..agents.agent_loop import AgentLoop
from ..agents.ask_person import person_for
from ..agents.conversation_state import ConversationAnswer, ConversationState, ConversationWork, packed
from ..agents.earlier_calls import EarlierCalls
from ..agents.toolbox import Toolbox
from ..agents.transfers import Transfers
from ..calls.headers import PARENT
from ..errors import FailureType
from ..failure import Failure
from ..history_format import CONVERSATION
from ..ledger.carry_over import carry
from ..ledger.ledger import EntryState
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

_CANCELLED = "the conversation was cancelled"


async def run_conversation(state: RawValue, messages: RawValue) -> Any:
    """Goes on with a conversation.

    Args:
        state: See `ConversationState`.
        messages: ``{"messages": [...]}``.

    Returns:
        A `ConversationAnswer` as JSON.

    Raises:
        ApplicationError: No task has started this, or the arguments are wrong, and nothing has run; or the
            conversation has failed, and what it did is undone.
        asyncio.CancelledError: It was cancelled, and everything is undone.
    """
    return await _ConversationRun(_read(state, messages)).run()


class _ConversationRun:
    """One run of the child."""

    def __init__(self, state: ConversationState) -> None:
        """Goes on from a state that has its messages."""
        self._state = state
        agent, job, so_far = state.agent, state.job, state.so_far
        self._record = open_record(agent.name, state.goal, state.budget)
        earlier = CarriedRecord(
            steps={},
            usage=so_far.usage,
            log=[],
            lines=0,
            undo_order=so_far.undo_order,
            undo_times=so_far.undo_times,
            entries=state.entries,
        )
        self._record.restore(earlier)
        catalog = Catalog(
            tools={tool.name: tool for tool in state.tools},
            agents={agent.name: agent},
            compensations={entry.name: entry for entry in state.compensations},
        )
        snapshot = Snapshot(
            task=agent.name,
            catalog=catalog,
            search_attributes=state.search_attributes,
            engine=state.engine,
            approvals=state.approvals,
            notify=state.notify,
        )
        self._record.consent = state.consent
        self._context = RunContext.assemble(
            self._record, snapshot, state.task, sequential=state.sequential, give_up=state.give_up
        )
        self._toolbox = Toolbox(
            agent.name,
            state.tools,
            job,
            self._record,
            self._context.caller,
            self._context.rollback,
            built_on=self._record.ledger.of(lambda entry: entry.state is EntryState.SETTLED),
            calls=state.tool_calls,
            past_pivot=state.past_pivot,
            engine=state.engine,
            has_effects=state.has_effects,
            ask_person=person_for(agent, self._context.questions),
            earlier=EarlierCalls(state.done, state.unsure, state.messages),
            transfers=None if state.transfers is None else Transfers(state.transfers),
        )
        self._toolbox.executed += [call.executed(self._record.ledger) for call in so_far.calls]
        self._loop = AgentLoop(
            agent=agent,
            job=job,
            asked=state.asked,
            calls=self._context.models,
            toolbox=self._toolbox,
            timeout=state.timeout,
            messages=state.messages,
            turn=state.turn,
            corrections=state.corrections,
            models=so_far.models,
            engine=state.engine,
            asked_back=state.asked_back,
        )
        self._life = Lifecycle(self._context)
        self._scope = StopScope()
        self._cancel = CancelWatch()

    async def run(self) -> Any:
        """Runs to the end, or to the next run."""
        return await self._cancel.outlast(self._context.notices.after(self._run()), self._stop)

    def _stop(self) -> None:
        self._scope.stop(_CANCELLED)

    async def _run(self) -> Any:
        step = self._state.job.step
        self._record.add_step(step, StepRecord("agent", self._state.agent.name))
        if self._state.carried is None:
            self._life.begin()
        self._record.start_step(step)
        try:
            while not await self._loop.run(self._scope, self._is_full):
                await self._continue_as_new()
            answer = self._answer()
            self._scope.check(step)
        except Exception as error:
            raise await self._backward(error) from None
        self._record.end_step(step, StepState.COMPLETED, answer.output)
        self._life.complete()
        return answer.as_json()

    def _is_full(self) -> bool:
        """Says whether the next turn is to be taken in another run."""
        self._check_room()
        taken = self._loop.turn - self._state.turn
        return taken >= limits.MAX_TURNS or (taken > 0 and workflow.info().is_continue_as_new_suggested())

    def _check_room(self) -> None:
        """Raises `Failed` where what was done so far can be carried no further."""
        size = sum(len(entry.model_dump_json().encode()) for entry in carry(self._record.ledger))
        size += sum(len(call.model_dump_json().encode()) for call in packed(self._toolbox.executed))
        if size > limits.MAX_CONVERSATION:
            message = (
                f"the tool calls of {self._loop.agent.name} have {size} bytes of arguments and results; "
                f"the most is {limits.MAX_CONVERSATION}"
            )
            raise self._loop.failed(FailureType.CONVERSATION_TOO_LONG, message)

    async def _continue_as_new(self) -> None:
        """Goes on in a new run; returns where the conversation was cancelled before that."""
        await workflow.wait_condition(workflow.all_handlers_finished)
        await self._context.notices.linger()
        if workflow.cancellation_reason() is not None:
            self._stop()
            self._scope.check(self._state.job.step)
        loop, converter = self._loop, workflow.payload_converter()
        state = self._state.continued(
            entries=tuple(carry(self._record.ledger)),
            so_far=ConversationWork(
                calls=packed(self._toolbox.executed),
                models=tuple(sorted(loop.models)),
                usage=self._record.spending.usage,
                undo_order=tuple(self._record.undo_order),
                undo_times=self._record.undos.times,
            ),
            turn=loop.turn,
            tool_calls=self._toolbox.calls,
            corrections=loop.corrections,
            asked_back=loop.asked_back,
            done=self._toolbox.earlier.done,
            unsure=self._toolbox.earlier.unsure,
            consent=self._record.consent,
            messages=(),
        )
        payloads = converter.to_payloads([[state.as_json()], state.said(loop.messages)])
        if any(payload.ByteSize() > MAX_PAYLOAD for payload in payloads):
            message = f"the conversation of {loop.agent.name} is too large to be carried on"
            raise loop.failed(FailureType.CONVERSATION_TOO_LONG, message)
        workflow.continue_as_new(args=[RawValue(payload) for payload in payloads])

    def _answer(self) -> ConversationAnswer:
        calls = packed(self._toolbox.executed)
        models = tuple(sorted(self._loop.models))
        answer = ConversationAnswer(
            output=self._loop.output, calls=calls, models=models, always=self._record.consent.always
        )
        if self._loop.transfer is None:
            return answer
        earlier = self._toolbox.earlier
        said = tuple(self._loop.messages[self._state.begun :])
        more = {"messages": said, "turn": self._loop.turn, "done": earlier.done, "unsure": earlier.unsure}
        return answer.model_copy(update={"transfer": self._loop.transfer, **more})

    async def _backward(self, error: Exception) -> BaseException:
        cancelled = self._cancel.requested and self._scope.reason == _CANCELLED
        step = self._state.job.step
        failure = failure_of(error)
        if cancelled:
            failure = Failure(step="", type=FailureType.CANCELLED, message=_CANCELLED)
        state = StepState.CANCELLED if cancelled else StepState.FAILED
        self._record.end_step(step, state, error=failure.message)
        await self._life.undo(failure)
        return self._life.ended(cancelled=cancelled, cause=error)


def _read(first: RawValue, second: RawValue) -> ConversationState:
    """Reads the arguments; nobody but a task starts a conversation, and nobody at all a continued run."""
    info = workflow.info()
    if info.parent is None or PARENT.get() is None:
        raise _refused("only a task starts it, for an agent of its own")
    if not isinstance(first, RawValue) or not isinstance(second, RawValue):
        raise _refused("it takes two arguments")  # with one the SDK has decoded it
    converter = workflow.payload_converter()
    is_continued = info.continued_run_id is not None
    try:
        value = converter.from_payload(first.payload)
        said = converter.from_payload(second.payload)
        state = ConversationState.model_validate({**(value[0] if is_continued else value), **said})
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
        raise _refused(f"the argument is not a conversation: {error}") from None
    if not is_continued and (
        state.carried is not None or state.entries or state.so_far != ConversationWork()
    ):
        raise _refused("what it has done itself it takes from an earlier run of its own only")
    return state


def _refused(reason: str) -> ApplicationError:
    return ApplicationError(f"{CONVERSATION}: {reason}", type=FailureType.INVALID_INPUT, non_retryable=True)
