"""The workflow of a long conversation with a model agent, outside the history of the agent's task."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..saga.engine.conversation_run import run_conversation
from ..saga.history_format import CONVERSATION
from ..saga.temporal.nothing import NOTHING


@workflow.defn(name=CONVERSATION, sandboxed=False)
class LongConversation:
    """Continues a conversation that its parent began, and continues as new every 20 turns."""

    __counterstep_task__ = True

    @workflow.run
    async def run(self, state: RawValue = NOTHING, messages: RawValue = NOTHING) -> Any:
        """Runs the conversation to its end.

        Args:
            state: A `ConversationState` as JSON.
            messages: The messages of the conversation so far.

        Returns:
            A `ConversationAnswer` as JSON, inside a `HandOver`.
        """
        return await run_conversation(state, messages)
