"""One call of an activity, as a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..effect import Effect
from ..spec.retry import DEFAULT_TIMEOUT, Retry
from .headers import HEARTBEAT, CallOwner

_FORWARD_RETRY = Retry()


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
    retry: Retry = _FORWARD_RETRY
    task_queue: str | None = None
    interruptible: bool = False
    summary: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    owner: CallOwner | None = None

    @property
    def id(self) -> str:
        """``PATH#ROUND``: the activity id and the id of the ledger entry."""
        return f"{self.path}#{self.round}"

    @property
    def may_be_interrupted(self) -> bool:
        """True for calls that change nothing, and for those that allow it."""
        return self.effect is Effect.READ_ONLY or self.interruptible

    @property
    def heartbeat(self) -> timedelta:
        """After how long without a heartbeat the worker that runs it is taken for dead."""
        return self.options.get("heartbeat_timeout") or min(HEARTBEAT, self.timeout)


def as_json(result: RawValue) -> Any:
    """Reads a result without a type."""
    return workflow.payload_converter().from_payload(result.payload)
