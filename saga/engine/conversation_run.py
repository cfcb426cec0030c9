"""The child workflow in which a long conversation goes on, run after run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..agents import agent_loop as limits
from ..agents.agent_loop import AgentLoop
from ..agents.ask_person import person_for
from ..agents.at_limit import AtLimit
from ..agents.conversation_state import ConversationAnswer, ConversationState, ConversationWork, packed
from ..agents.delegates import Delegates
from ..agents.earlier_calls import EarlierCalls
from ..agents.toolbox import Toolbox
from ..agents.transfers import Transfers
from ..history_format import CONVERSATION
from ..ledger.carry_over import carry
from ..ledger.ledger import EntryState
from ..limits.loop_guard import LoopGuard
from .moved_run import MovedRun, read_state


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
    return await _ConversationRun(read_state(ConversationState, CONVERSATION, state, messages)).run()


class _ConversationRun(MovedRun):
    """One run of the child."""

    def __init__(self, state: ConversationState) -> None:
        """Goes on from a state that has its messages."""
        self._state = state
        agent = state.agent
        catalog = state.others.with_agent(agent, state.tools, state.compensations)
        super().__init__(state, "conversation", agent.name, state.job.step, catalog)
        context = self.context
        transfers = None if state.transfers is None else Transfers(state.transfers)
        self._toolbox = Toolbox(
            agent.name,
            state.tools,
            state.job,
            self.record,
            context.caller,
            context.rollback,
            built_on=self.record.ledger.of(lambda entry: entry.state is EntryState.SETTLED),
            calls=state.tool_calls,
            engine=state.engine,
            has_effects=state.has_effects,
            ask_person=person_for(agent, context.questions),
            earlier=EarlierCalls(state.done, state.unsure, state.messages),
            seen=LoopGuard(state.seen),
            delegates=Delegates.of(
                agent,
                state.others,
                state.job,
                self.record,
                context.rollback,
                context.agents.run,
                transfers,
            ),
            transfers=transfers,
        )
        self._toolbox.executed += [call.executed(self.record.ledger) for call in state.so_far.calls]
        self._loop = AgentLoop(
            agent=agent,
            job=state.job,
            asked=state.asked,
            calls=context.models,
            toolbox=self._toolbox,
            timeout=state.timeout,
            messages=state.messages,
            turn=state.turn,
            corrections=state.corrections,
            models=state.so_far.models,
            engine=state.engine,
            asked_back=state.asked_back,
            heard=state.heard,
            at_limit=AtLimit(state.at_limit, self.record, context.questions, state.engine),
            most_turns=state.most_turns,
        )

    async def go(self) -> tuple[ConversationAnswer, Any]:
        """See `MovedRun`."""
        while not await self._loop.run(self.scope, self._is_full):
            await self.continue_as_new(self._packed)
        answer = self._answer()
        return answer, answer.output

    def _answer(self) -> ConversationAnswer:
        calls, models = packed(self._toolbox.executed), tuple(sorted(self._loop.models))
        answer = ConversationAnswer(output=self._loop.output, calls=calls, models=models, **self.told())
        if self._loop.transfer is None:
            return answer
        earlier = self._toolbox.earlier
        said = tuple(self._loop.messages[self._state.begun :])
        more = {"messages": said, "turn": self._loop.turn, "done": earlier.done, "unsure": earlier.unsure}
        more["seen"] = tuple(self._toolbox.loops.guard.seen)
        return answer.model_copy(update={"transfer": self._loop.transfer, **more})

    def _is_full(self) -> bool:
        """Says whether the next turn is to be taken in another run."""
        self._check_room()
        taken = self._loop.turn - self._state.turn
        return taken >= limits.MAX_TURNS or (taken > 0 and workflow.info().is_continue_as_new_suggested())

    def _check_room(self) -> None:
        """Raises `Failed` where what was done so far can be carried no further."""
        size = sum(len(entry.model_dump_json().encode()) for entry in carry(self.record.ledger))
        size += sum(len(call.model_dump_json().encode()) for call in packed(self._toolbox.executed))
        if size > limits.MAX_CONVERSATION:
            raise self.too_long(
                f"the tool calls of {self._loop.agent.name} have {size} bytes of arguments and results; "
                f"the most is {limits.MAX_CONVERSATION}"
            )

    def _packed(self) -> tuple[ConversationState, Mapping[str, Any]]:
        """Returns what the next run is given."""
        loop, toolbox = self._loop, self._toolbox
        so_far = ConversationWork(
            **self.work(), calls=packed(toolbox.executed), models=tuple(sorted(loop.models))
        )
        changes = {
            "so_far": so_far,
            "turn": loop.turn,
            "tool_calls": toolbox.calls,
            "corrections": loop.corrections,
            "asked_back": loop.asked_back,
            "heard": loop.heard,
            "most_turns": loop.most_turns,
            "has_effects": toolbox.has_effects,
            "done": toolbox.earlier.done,
            "unsure": toolbox.earlier.unsure,
            "seen": tuple(toolbox.loops.guard.seen),
            "messages": (),
        }
        return self._state.model_copy(update={**self.carried(), **changes}), self._state.said(loop.messages)
