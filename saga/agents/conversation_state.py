"""A conversation on its way: into a child workflow, from run to run of it, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..duration import Duration
from ..history_format import FORMAT_VERSION
from ..ledger.call_id import CallId
from ..ledger.carry_over import CarriedEntry
from ..ledger.ledger import Ledger
from ..limits.budget import Budget
from ..limits.usage import Usage
from ..record.consent import Consent
from ..record.undo_progress import UndoTime
from ..spec.approval import ToolApproval
from ..spec.catalog import AgentEntry, CompensationEntry, ToolEntry
from ..verdict import Evidence
from .assignment import Assignment
from .model_protocol import ChatMessage
from .tool_answer import ExecutedCall
from .transfers import Transfer, TransferTool


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)

    def as_json(self) -> dict[str, Any]:
        """Returns it as JSON, without what has its default."""
        return self.model_dump(mode="json", exclude_defaults=True)


class CarriedCall(_Frozen):
    """One executed tool call; of one that has a ledger entry the entry has arguments and result.

    Attributes:
        entry: The id of the entry, or None.

    The others are those of `Evidence`.
    """

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


class ConversationWork(_Frozen):
    """What the runs of the child have done so far.

    Attributes:
        calls: The tool calls that were executed.
        models: The models that took part.
        usage: What was spent.
        undo_order: Ids of ledger entries in the order in which their undos finished.
        undo_times: By id, the times of the undos that were begun.
    """

    calls: tuple[CarriedCall, ...] = ()
    models: tuple[str, ...] = ()
    usage: Usage = Usage()
    undo_order: tuple[str, ...] = ()
    undo_times: dict[str, UndoTime] = Field(default_factory=dict)


class ConversationState(_Frozen):
    """Everything that a child needs to go on with a conversation; it names no code.

    The child's first argument, in a continued run inside a list: ``[state]``. What was said is the second
    one, ``{"messages": [...]}``, so that each stays under the size of one payload.

    Attributes:
        carried: In a continued run the version of this format; None otherwise.
        entries: In a continued run the ledger, oldest first.
        so_far: In a continued run what those before it have done.
        agent: With whom.
        asked: The fallback chain of models.
        tools: What it may call.
        compensations: What is declared of their undos.
        job: What is to be done; the messages say it.
        timeout: The longest one model call may take.
        goal: What the whole task is for.
        budget: The most that the child may spend.
        turn: Turns taken.
        tool_calls: Tool calls made.
        corrections: How often the agent was told that something was unusable.
        past_pivot: Whether nothing may be done any more that would have to be undone.
        sequential: Whether undos run strictly one by one.
        give_up: How long a stuck undo waits for a person; None for as long as it takes.
        search_attributes: Whether the namespace knows Counterstep's search attributes.
        engine: By which rules the task is run that has started it.
        asked_back: Whether the agent has given up once and was asked whether it means that.
        has_effects: Whether calls with effects have succeeded.
        done: See `EarlierCalls`.
        unsure: See there.
        approvals: What the task demands of tool calls, besides what the tools demand themselves.
        consent: To what people have said yes so far.
        notify: Whether a webhook is told when the conversation waits for people.
        task: The input of the task, which approvals may read.
        transfers: To whom the agent may hand the conversation over; None where it may not.
        begun: How many messages there were when the child began.
        messages: What was said; empty on the way.
    """

    carried: int | None = None
    entries: tuple[CarriedEntry, ...] = ()
    so_far: ConversationWork = ConversationWork()
    agent: AgentEntry
    asked: tuple[str, ...]
    tools: tuple[ToolEntry, ...] = ()
    compensations: tuple[CompensationEntry, ...] = ()
    job: Assignment
    timeout: Duration
    goal: str = ""
    budget: Budget = Budget()
    turn: int
    tool_calls: int
    corrections: int
    past_pivot: bool = False
    sequential: bool = False
    give_up: Duration | None = None
    search_attributes: bool = False
    engine: int = 1
    asked_back: bool = False
    has_effects: bool = False
    done: dict[str, str] = {}
    unsure: dict[str, str] = {}
    approvals: tuple[ToolApproval, ...] = ()
    consent: Consent = Consent()
    notify: bool = False
    task: Any = None
    transfers: tuple[TransferTool, ...] | None = None
    begun: int = 0
    messages: tuple[ChatMessage, ...] = ()

    @staticmethod
    def said(messages: Iterable[ChatMessage]) -> dict[str, Any]:
        """Returns the second argument."""
        return {"messages": [message.model_dump(mode="json", exclude_defaults=True) for message in messages]}

    def continued(self, **changes: Any) -> ConversationState:
        """Returns the state with which the next run goes on."""
        return self.model_copy(update={"carried": FORMAT_VERSION, **changes})


class ConversationAnswer(_Frozen):
    """What the child has to say in the end.

    Attributes:
        output: The answer.
        calls: The tool calls that it has executed.
        models: The models that took part.
        always: To which further calls people have said yes, by tool.
        transfer: The handoff with which it has ended; None where it has ended with an answer.
        messages: After a handoff what the child has added to the conversation.
        turn: After a handoff the turns taken.
        done: After a handoff, see `EarlierCalls`.
        unsure: After a handoff, see there.
    """

    output: Any = None
    calls: tuple[CarriedCall, ...] = ()
    models: tuple[str, ...] = ()
    always: dict[str, tuple[dict[str, Any], ...]] = {}
    transfer: Transfer | None = None
    messages: tuple[ChatMessage, ...] = ()
    turn: int = 0
    done: dict[str, str] = {}
    unsure: dict[str, str] = {}


def packed(calls: Iterable[ExecutedCall]) -> tuple[CarriedCall, ...]:
    """Packs executed calls."""
    return tuple(CarriedCall.of(executed) for executed in calls)
