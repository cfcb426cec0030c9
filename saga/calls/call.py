"""One call of an activity, as a value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..effect import Effect
from ..ledger.call_id import CallId
from ..ledger.ledger import Entry
from ..spec.catalog import AgentEntry, CompensationEntry, ToolEntry
from ..spec.retry import Retry
from ..spec.timeout import Limit, time_for
from ..temporal.stop_scope import StopScope
from .headers import CallOwner
from .timeouts_and_retries import DEFAULT_TIMEOUT, FORWARD_RETRY, HEARTBEAT, UNDO_RETRY


@dataclass(frozen=True, slots=True)
class Call:
    """One forward call.

    Attributes:
        step: The id of the step that it belongs to.
        path: Its place in the task, e.g. ``book[2]/tool.1``; with the round it is the activity id.
        activity: The activity type.
        args: Its arguments, each a value that the task's data converter takes.
        effect: What it does to the world.
        input: The arguments by name, as the undo will see them; JSON.
        compensation: The activity type that undoes it, or None.
        before: A read-only activity type to be called first with the same arguments, or None.
        depends_on: Ids of the ledger entries that it builds on.
        round: 1, plus 1 for each re-run after an undo.
        timeout: The longest one attempt may take.
        retry: How often and how fast it is tried.
        task_queue: A bulkhead, or None for the task's own queue.
        interruptible: Whether a stop may interrupt it although it changes something.
        summary: What the Web UI shows beside the activity type.
        options: More options of Temporal's, for activities of the user's own.
        owner: The agent whose call it is, or None.
        agent: The name of the model agent that has chosen to make it, or None.
        key: The idempotency key of an earlier call, where it repeats that; None for one of its own.
        uses_tool: Whether it counts against a budget of tool calls.
    """

    step: str
    path: str
    activity: str
    args: Sequence[Any]
    effect: Effect
    input: Any = None
    compensation: str | None = None
    before: str | None = None
    depends_on: frozenset[str] = frozenset()
    round: int = 1
    timeout: timedelta = DEFAULT_TIMEOUT
    retry: Retry = FORWARD_RETRY
    task_queue: str | None = None
    interruptible: bool = False
    summary: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    owner: CallOwner | None = None
    agent: str | None = None
    key: str | None = None
    uses_tool: bool = False

    @classmethod
    def of(
        cls,
        target: ToolEntry | AgentEntry,
        arguments: Any,
        *,
        step: str,
        path: str,
        summary: str,
        depends_on: frozenset[str],
        round: int = 1,
        effect: Effect | None = None,
        compensation: str | None = None,
        timeout: Limit | None = None,
        retry: Retry | None = None,
        task_queue: str | None = None,
        agent: str | None = None,
    ) -> Call:
        """Makes the call of a tool, or of an agent that is Python code.

        Args:
            target: What the catalog says of it.
            arguments: The arguments by name, or the one object that an agent takes; JSON.
            step: See the attributes, as for all that is not explained here.
            path: See there.
            summary: See there.
            depends_on: See there.
            round: See there.
            effect: Counts in place of the effect that was declared.
            compensation: Undoes the call in place of what was declared.
            timeout: Counts in place of the declared timeout, which counts in place of the default.
            retry: None for the default.
            task_queue: See the attributes.
            agent: See the attributes.
        """
        takes_names = not isinstance(target, AgentEntry) or not target.whole_input
        return cls(
            step=step,
            path=path,
            activity=target.name,
            args=(arguments,),
            effect=effect or target.effect,
            input=arguments if takes_names else {target.parameters[0]: arguments},
            compensation=compensation or target.compensate,
            before=None if isinstance(target, AgentEntry) else target.before,
            depends_on=depends_on,
            round=round,
            timeout=time_for(timeout or target.timeout, [target.name]) or DEFAULT_TIMEOUT,
            retry=retry or FORWARD_RETRY,
            task_queue=task_queue,
            interruptible=target.interruptible,
            summary=summary,
            agent=agent,
            uses_tool=isinstance(target, ToolEntry),
        )

    def with_fewer_attempts(self, made: int) -> Call:
        """Returns the call with the attempts that are left when so many have been made; there may be none."""
        left = self.retry.model_copy(update={"attempts": max(0, self.retry.attempts - made)})
        return replace(self, retry=left) if made else self

    def reading_before(self) -> Call:
        """Returns the call that reads what the undo of this one will put back.

        Raises:
            ValueError: This call has nothing of the kind.
        """
        if self.before is None:
            raise ValueError(f"{self.activity} reads nothing before it is called")
        return Call(
            step=self.step,
            path=CallId(self.path, self.round).before.path,
            activity=self.before,
            args=self.args,
            effect=Effect.READ_ONLY,
            round=self.round,
            timeout=self.timeout,
            retry=self.retry,
            task_queue=self.task_queue,
            summary=f"read before {self.path}"[:200],
        )

    @classmethod
    def undoing(cls, entry: Entry, declared: CompensationEntry | None, undo: Mapping[str, Any]) -> Call:
        """Makes the call that undoes another one.

        Args:
            entry: The ledger entry of the call that is undone.
            declared: What the catalog says of the compensation; None where it says nothing.
            undo: The argument of the compensation: an `Undo` as JSON.
        """
        id_ = CallId.parse(entry.id).undo
        return cls(
            step=entry.step,
            path=id_.path,
            activity=entry.compensation,
            args=(undo,),
            effect=Effect.RETRIABLE,
            round=id_.round,
            timeout=(declared.timeout if declared else None) or DEFAULT_TIMEOUT,
            retry=(declared.retry if declared else None) or UNDO_RETRY,
            task_queue=entry.task_queue,
            summary=f"undo {entry.label}"[:200],
        )

    @property
    def id(self) -> str:
        """``PATH#ROUND``: the activity id and the id of the ledger entry."""
        return str(CallId(self.path, self.round))

    @property
    def may_be_interrupted(self) -> bool:
        """True for calls that change nothing, and for those that allow it."""
        return self.effect is Effect.READ_ONLY or self.interruptible

    @property
    def heartbeat(self) -> timedelta:
        """After how long without a heartbeat the worker that runs it is taken for dead."""
        return self.options.get("heartbeat_timeout") or min(HEARTBEAT, self.timeout)


@dataclass(frozen=True, slots=True)
class Executed:
    """One call that has succeeded.

    Attributes:
        call: As it was made: a person may have edited its arguments.
        result: The result as the data converter's payload.
    """

    call: Call
    result: RawValue


Guard = Callable[[Call, StopScope], Awaitable[None]]
"""Raises `Failed` where a call may not be made with its arguments."""


def as_json(result: RawValue) -> Any:
    """Reads a result without a type."""
    return workflow.payload_converter().from_payload(result.payload)
