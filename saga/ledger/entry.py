"""One forward call and its undo, as the ledger knows them."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..errors import CounterstepError
from .call_id import CallId, label_of


class LedgerError(CounterstepError):
    """An event that the ledger's order does not allow: a bug in the engine, never the user's."""


class EntryState(StrEnum):
    """Where an entry is in its life; see `Ledger`."""

    ARMED = "armed"
    VOID = "void"
    SETTLED = "settled"
    UNDOING = "undoing"
    UNDONE = "undone"
    STUCK = "stuck"
    SKIPPED = "skipped"


ENDED = frozenset({EntryState.VOID, EntryState.UNDONE, EntryState.SKIPPED})
"""The states of which none follows: nothing has to be undone any more."""

BEGUN = frozenset({EntryState.UNDOING, EntryState.STUCK})
"""The states in which the undo has been begun and has not ended."""

GONE = frozenset({EntryState.VOID, EntryState.UNDONE})
"""The states in which no effect stands."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One forward call and its undo.

    Attributes:
        id: ``PATH#ROUND`` of the forward call, which is its activity id as well.
        step: The id of the task's step that it belongs to.
        compensation: The activity type that undoes it.
        key: The forward call's idempotency key.
        depends_on: Ids of the entries whose calls came before this one and may have fed it; the ledger adds
            what those depend on.
        input: The forward call's arguments, by name.
        before: What the `before` call read, or None.
        output: The forward call's result; None while it is unknown whether it happened.
        state: Where it is in its life.
        attempts: How often the undo has been begun.
        error: Why the undo is stuck.
        task_queue: The bulkhead of the call and its undo, or None for the task's own.
    """

    id: str
    step: str
    compensation: str
    key: str
    depends_on: Set[str] = frozenset()
    input: Any = None
    before: Any = None
    output: Any = None
    state: EntryState = EntryState.ARMED
    attempts: int = 0
    error: str | None = None
    task_queue: str | None = None

    @property
    def label(self) -> str:
        """What people are told of it: the path of the call, and its round where that is not the first."""
        return label_of(self.id)

    def is_under(self, path: str) -> bool:
        """Says whether the call is the one at `path`, an item of it, or inside of it."""
        return CallId.parse(self.id).is_under(path)

    def is_named(self, name: str) -> bool:
        """Says whether `name` is the step of the call, its id, or a path that it is at, or under."""
        return name in (self.step, self.id) or self.is_under(name)
