"""A conversation on its way: into a child workflow, from run to run of it, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..children.moved import MovedAnswer, MovedState, MovedWork
from ..duration import Duration
from ..ledger.call_id import CallId
from ..ledger.ledger import Ledger
from ..limits.limit_policies import OnLimit
from ..limits.loop_guard import SeenCall
from ..spec.catalog import AgentEntry, Catalog, CompensationEntry, ToolEntry
from ..verdict import Evidence
from .assignment import Assignment
from .model_calls.model_room import Heard
from .model_protocol import ChatMessage
from .tool_answer import ExecutedCall
from .transfers import Transfer, TransferTool


class CarriedCall(BaseModel):
    """One executed tool call; of one that has a ledger entry the entry has arguments and result.

    Attributes:
        entry: The id of the entry, or None.

    The others are those of `Evidence`.
    """

    model_config = ConfigDict(frozen=True)

    tool: str
    arguments: dict[str, Any] = {}
    result: Any = None
    error: str | None = None
    entry: str | None = None

    @classmethod
    def of(cls, executed: ExecutedCall) -> CarriedCall:
        """Packs a call."""
        if executed.entry is not None:
            return cls(tool=executed.evidence.tool, entry=executed.entry)
        return cls(**dict(executed.evidence))

    def executed(self, ledger: Ledger, child: CallId | None = None) -> ExecutedCall:
        """Unpacks a call.

        Args:
            ledger: Where its entry is.
            child: The call of the child that made it, where the ledger is that of the child's parent.
        """
        if self.entry is None:
            return ExecutedCall(Evidence(**self.model_dump(exclude={"entry"})))
        entry = ledger[self.entry if child is None else child.in_child(self.entry)]
        return ExecutedCall(Evidence(tool=self.tool, arguments=entry.input, result=entry.output), self.entry)


class ConversationWork(MovedWork):
    """What the runs of the child have done so far.

    Attributes:
        calls: The tool calls that were executed.
        models: The models that took part.

    The others are those of `MovedWork`.
    """

    calls: tuple[CarriedCall, ...] = ()
    models: tuple[str, ...] = ()


class ConversationState(MovedState):
    """Everything that a child needs to go on with a conversation.

    What was said is its second argument, ``{"messages": [...]}``.

    Attributes:
        so_far: In a continued run what those before it have done.
        agent: With whom.
        asked: The fallback chain of models.
        tools: What it may call.
        compensations: What is declared of their undos.
        others: What the agents among its tools need; empty where there are none.
        job: What is to be done; the messages say it.
        timeout: The longest one model call may take.
        turn: Turns taken.
        tool_calls: Tool calls made.
        corrections: How often the agent was told that something was unusable.
        asked_back: Whether the agent has given up once and was asked whether it means that.
        has_effects: Whether calls with effects have succeeded.
        done: See `EarlierCalls`.
        unsure: See there.
        seen: See `LoopGuard`.
        transfers: To whom the agent may hand the conversation over; None where it may not.
        begun: How many messages there were when the child began.
        heard: What the conversation so far has come to; None where it begins.
        at_limit: What the agent does at a limit; None to fail.
        most_turns: How many turns it may have; None for what the agent says.
        messages: What was said; empty on the way.

    The others are those of `MovedState`.
    """

    so_far: ConversationWork = ConversationWork()
    agent: AgentEntry
    asked: tuple[str, ...]
    tools: tuple[ToolEntry, ...] = ()
    compensations: tuple[CompensationEntry, ...] = ()
    others: Catalog = Catalog()
    job: Assignment
    timeout: Duration
    turn: int
    tool_calls: int
    corrections: int
    asked_back: bool = False
    has_effects: bool = False
    done: dict[str, str] = Field(default_factory=dict)
    unsure: dict[str, str] = Field(default_factory=dict)
    seen: tuple[SeenCall, ...] = ()
    transfers: tuple[TransferTool, ...] | None = None
    begun: int = 0
    heard: Heard | None = None
    at_limit: OnLimit | None = None
    most_turns: int | None = None
    messages: tuple[ChatMessage, ...] = ()

    @staticmethod
    def said(messages: Iterable[ChatMessage]) -> dict[str, Any]:
        """Returns the second argument."""
        return {"messages": [message.model_dump(mode="json", exclude_defaults=True) for message in messages]}


class ConversationAnswer(MovedAnswer):
    """What the child has to say in the end.

    Attributes:
        output: The answer.
        calls: The tool calls that it has executed.
        models: The models that took part.
        transfer: The handoff with which it has ended; None where it has ended with an answer.
        messages: After a handoff what the child has added to the conversation.
        turn: After a handoff the turns taken.
        done: After a handoff, see `EarlierCalls`.
        unsure: After a handoff, see there.
        seen: After a handoff, see `LoopGuard`.

    The others are those of `MovedAnswer`.
    """

    output: Any = None
    calls: tuple[CarriedCall, ...] = ()
    models: tuple[str, ...] = ()
    transfer: Transfer | None = None
    messages: tuple[ChatMessage, ...] = ()
    turn: int = 0
    done: dict[str, str] = Field(default_factory=dict)
    unsure: dict[str, str] = Field(default_factory=dict)
    seen: tuple[SeenCall, ...] = ()


def packed(calls: Iterable[ExecutedCall]) -> tuple[CarriedCall, ...]:
    """Packs executed calls."""
    return tuple(CarriedCall.of(executed) for executed in calls)
