"""A conversation that is too long for the history of its task goes on in a child workflow."""

from __future__ import annotations

from dataclasses import replace

from ..children.child_call import ChildCall
from ..children.moving import Moving
from ..effect import Effect
from ..history_format import CONVERSATION, LONG_CONVERSATION
from ..ledger.call_id import CallId
from ..limits.budget import Budget
from ..record.task_record import TaskRecord
from ..spec.catalog import Catalog
from ..temporal.stop_scope import StopScope
from ..verdict import Evidence
from . import agent_loop as limits
from .agent_loop import AgentLoop
from .conversation_state import ConversationAnswer, ConversationState
from .model_calls.model_caller import ModelCaller

LONG = 200_000
"""Bytes of a conversation that stays in the history of its task: each turn sends it again."""


class LongConversations:
    """Takes long conversations of one task to child workflows, and back."""

    def __init__(
        self, record: TaskRecord, models: ModelCaller, moving: Moving, catalog: Catalog, *, engine: int
    ) -> None:
        """Prepares for long conversations.

        Args:
            record: The task's record.
            models: Holds a part of the budget for a child.
            moving: Runs the children.
            catalog: The task's snapshot.
            engine: See `Snapshot`.
        """
        self._record = record
        self._models = models
        self._moving = moving
        self._catalog = catalog
        self._engine = engine

    def is_due(self, loop: AgentLoop, before: int = 0) -> bool:
        """Says whether the next turn of a conversation is to be taken in a child.

        Args:
            loop: As far as it has come.
            before: The turns that others have taken who had it before.
        """
        return before + loop.turn >= limits.MAX_TURNS or loop.size > LONG

    async def go_on(self, loop: AgentLoop, scope: StopScope) -> list[Evidence]:
        """Goes on with a conversation in a child, to its end.

        The child's tool calls become part of this task's ledger, and what it has spent of its usage.

        Args:
            loop: As far as it has come; it gets the answer, or the handoff, and the models.
            scope: The part of the task that it belongs to; a stop cancels the child, which rolls back.

        Returns:
            The tool calls that the child has executed.

        Raises:
            Failed: As in this workflow; what the child did is undone.
            Stopped: The scope was stopped.
        """
        step = loop.job.step
        self._models.drop(loop.job.path)  # the child keeps its own
        transfers = loop.toolbox.transfers
        tools, others = self._catalog.tools_of(loop.agent), self._catalog.asked_by(loop.agent)
        held, budget = None, Budget()  # like any child it gets a part of the budget, and asks for more
        if self._engine < 3:
            most = (loop.agent.max_turns - loop.turn) * len(loop.asked)
            held, budget = await self._models.set_aside(step, most, scope)
        state = ConversationState(
            **self._moving.given(loop.job.path, (*tools, *others.tools.values()), others.agents.values()),
            agent=loop.agent,
            asked=loop.asked,
            tools=tools,
            compensations=self._catalog.undos_of(tools),
            others=others,
            job=replace(loop.job, input=None, feedback=(), depends_on=frozenset()),
            timeout=loop.timeout,
            budget=budget,
            turn=loop.turn,
            tool_calls=loop.toolbox.calls,
            corrections=loop.corrections,
            asked_back=loop.asked_back,
            heard=loop.heard,
            at_limit=loop.at_limit.on_limit if loop.at_limit is not None else None,
            most_turns=loop.most_turns if loop.most_turns != loop.agent.max_turns else None,
            has_effects=loop.toolbox.has_effects and self._engine >= 2,
            done=loop.toolbox.earlier.done,
            unsure=loop.toolbox.earlier.unsure,
            seen=tuple(loop.toolbox.loops.guard.seen),
            transfers=transfers.tools if transfers is not None else None,
            begun=len(loop.messages) if transfers is not None else 0,
        )
        child = ChildCall(
            step=step,
            path=CallId(loop.job.path).within(LONG_CONVERSATION).path,
            round=loop.job.round,
            workflow=CONVERSATION,
            input=state.as_json(),
            depends_on=loop.toolbox.built_on,
            effect=Effect.COMPENSATABLE,
            timeout=None,
            task_queue=None,
            ends_undone=True,
            further=(state.said(loop.messages),),
            knows_approvals=True,
        )
        try:
            answer = ConversationAnswer.model_validate(await self._moving.call(child, loop.agent.name, scope))
        finally:
            if held is not None:
                self._models.give_back(held)
        loop.output = answer.output
        if transfers is not None and answer.transfer is not None:
            transfers.made = answer.transfer
            loop.take_up(answer.messages, answer.turn)
            loop.toolbox.earlier.take_over(answer.done, answer.unsure, answer.messages)
            loop.toolbox.loops.guard.seen = [*answer.seen]
        loop.models.update(answer.models)
        loop.degraded = answer.degraded
        return [call.executed(self._record.ledger, CallId.parse(child.id)).evidence for call in answer.calls]
