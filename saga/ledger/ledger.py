"""What has to be undone, in which order, and what became of each undo.

The ledger is a pure value: every method returns a new ledger and nothing here knows Temporal. One entry
stands for one forward call that may have changed something. Its life::

    armed ──────────────► void                   certainly nothing happened
      │ settle               (no undo)
      ▼
    settled ── begin ──► undoing ── finish ──► undone
      ▲                     │                    ▲
      │                     └────── fail ───► stuck ── skip ──► skipped
      └──────────────────── retry ───────────────┘ done

A stuck undo is left by what a person says: `retry` runs it again, `done` counts it as undone by hand, and
`skip` leaves the effect standing. Only these arrows exist; any other is an error of the engine, raised as
`LedgerError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ..errors import CounterstepError
from .call_id import CallId


class EntryState(StrEnum):
    """Where an entry is in its life."""

    ARMED = "armed"
    VOID = "void"
    SETTLED = "settled"
    UNDOING = "undoing"
    UNDONE = "undone"
    STUCK = "stuck"
    SKIPPED = "skipped"


_ENDED = frozenset({EntryState.VOID, EntryState.UNDONE, EntryState.SKIPPED})
_BEGUN = frozenset({EntryState.UNDOING, EntryState.STUCK})


class LedgerError(CounterstepError):
    """An event that the ledger's order does not allow: a bug in the engine, never the user's."""


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
        state: See the module's picture.
        attempts: How often the undo has been begun.
        error: Why the undo is stuck.
        task_queue: The bulkhead of the call and its undo, or None for the task's own.
    """

    id: str
    step: str
    compensation: str
    key: str
    depends_on: frozenset[str] = frozenset()
    input: Any = None
    before: Any = None
    output: Any = None
    state: EntryState = EntryState.ARMED
    attempts: int = 0
    error: str | None = None
    task_queue: str | None = None

    def is_under(self, path: str) -> bool:
        """Says whether the call is the one at `path`, an item of it, or inside of it."""
        return CallId.parse(self.id).is_under(path)


@dataclass(frozen=True, slots=True)
class Ledger:
    """All entries of one task, in the order in which they were armed."""

    entries: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def __getitem__(self, entry_id: str) -> Entry:
        return self.entries[entry_id]

    def __contains__(self, entry_id: object) -> bool:
        return entry_id in self.entries

    def arm(self, entry: Entry) -> Ledger:
        """Records an undo before its forward call is scheduled.

        Raises:
            LedgerError: The id is taken, or the entry depends on one that is not there or whose undo has
                begun: it would come too late to be undone first.
        """
        if entry.id in self.entries:
            raise LedgerError(f"{entry.id} is in the ledger already")
        unknown = entry.depends_on - self.entries.keys()
        if unknown:
            raise LedgerError(f"{entry.id} depends on {sorted(unknown)}, which the ledger does not know")
        if entry.state is not EntryState.ARMED:
            raise LedgerError(f"{entry.id} must be armed first, not {entry.state}")
        # All of them, not the direct ones alone: an entry in between may be void, and the order stays.
        needs = entry.depends_on.union(*(self.entries[need].depends_on for need in entry.depends_on))
        begun = [need for need in sorted(needs) if self.entries[need].state in _BEGUN]
        if begun:
            raise LedgerError(f"{entry.id} depends on {begun}, whose undo has begun")
        return self._with(replace(entry, depends_on=needs))

    def settle(self, entry_id: str, output: Any = None) -> Ledger:
        """Records that the forward call has ended, with its result or None where it is unknown."""
        return self._move(entry_id, EntryState.ARMED, EntryState.SETTLED, output=output)

    def void(self, entry_id: str) -> Ledger:
        """Records that the forward call certainly did not happen, so that nothing has to be undone."""
        return self._move(entry_id, EntryState.ARMED, EntryState.VOID)

    def begin(self, entry_id: str) -> Ledger:
        """Records that the undo is about to be scheduled.

        Raises:
            LedgerError: The call has not settled, its undo has begun before, or an undo ordered before it
                has not ended.
        """
        entry = self._known(entry_id)
        blockers = self.blockers(entry_id)
        if blockers:
            raise LedgerError(f"the undo of {entry_id} must wait for {blockers}")
        return self._move(entry_id, EntryState.SETTLED, EntryState.UNDOING, attempts=entry.attempts + 1)

    def finish(self, entry_id: str) -> Ledger:
        """Records that the undo has succeeded."""
        return self._move(entry_id, EntryState.UNDOING, EntryState.UNDONE)

    def fail(self, entry_id: str, error: str) -> Ledger:
        """Records that the undo has failed past its retries."""
        return self._move(entry_id, EntryState.UNDOING, EntryState.STUCK, error=error)

    def retry(self, entry_id: str) -> Ledger:
        """Records that a stuck undo is to be run again."""
        return self._move(entry_id, EntryState.STUCK, EntryState.SETTLED, error=None)

    def done(self, entry_id: str) -> Ledger:
        """Records that somebody has undone by hand what was stuck."""
        return self._move(entry_id, EntryState.STUCK, EntryState.UNDONE)

    def skip(self, entry_id: str) -> Ledger:
        """Records that what was stuck stays as it is; it holds back nothing any more."""
        return self._move(entry_id, EntryState.STUCK, EntryState.SKIPPED)

    def blockers(self, entry_id: str) -> list[str]:
        """Names the entries that came after this one, built on it, and are not undone yet."""
        return [e.id for e in self if entry_id in e.depends_on and e.state not in _ENDED]

    def ready(self, *, within: Iterable[str] | None = None, sequential: bool = False) -> list[str]:
        """Names the entries whose undo may begin now.

        Args:
            within: Only these entries are to be undone; None for all. Close it over dependents first
                (`dependents`), or entries in it wait for entries outside it.
            sequential: One at a time, newest start first.

        Returns:
            Entry ids, newest first. Empty when nothing is left, or all that is left waits.
        """
        chosen = self._chosen(within)
        if sequential:
            newest = next((e for e in reversed(chosen) if e.state not in _ENDED), None)
            if newest is None or newest.state is not EntryState.SETTLED or self.blockers(newest.id):
                return []
            return [newest.id]
        held = {name for e in self if e.state not in _ENDED for name in e.depends_on}
        return [e.id for e in reversed(chosen) if e.state is EntryState.SETTLED and e.id not in held]

    def open(self, *, within: Iterable[str] | None = None) -> list[str]:
        """Names the entries that still have to be undone, newest first."""
        return [e.id for e in reversed(self._chosen(within)) if e.state not in _ENDED]

    def dependents(self, entry_ids: Iterable[str]) -> set[str]:
        """Returns `entry_ids` and every entry that depends on one of them, directly or not."""
        affected = set(entry_ids)
        for entry in self:
            if entry.depends_on & affected:
                affected.add(entry.id)
        return affected

    def of(self, belongs: Callable[[Entry], bool]) -> frozenset[str]:
        """Returns the ids of the entries for which `belongs` is true."""
        return frozenset(e.id for e in self if belongs(e))

    def stuck(self, name: str | None = None) -> list[Entry]:
        """Returns the entries whose undos are stuck: all, or those of a step, or the one of this id."""
        return [e for e in self if e.state is EntryState.STUCK and name in (None, e.step, e.id)]

    def remaining(self) -> list[Entry]:
        """Returns the entries whose effects stand, oldest first."""
        return [e for e in self if e.state not in (EntryState.VOID, EntryState.UNDONE)]

    def not_undone_steps(self) -> list[str]:
        """Returns the steps of which an undo is missing, newest first."""
        return list(dict.fromkeys(e.step for e in reversed(self.remaining())))

    def skipped_steps(self) -> list[str]:
        """Returns the steps of which somebody has chosen to leave an effect that was to be undone."""
        return list(dict.fromkeys(e.step for e in self if e.state is EntryState.SKIPPED))

    def _chosen(self, within: Iterable[str] | None) -> list[Entry]:
        if within is None:
            return list(self)
        wanted = set(within)
        return [e for e in self if e.id in wanted]

    def _known(self, entry_id: str) -> Entry:
        entry = self.entries.get(entry_id)
        if entry is None:
            raise LedgerError(f"{entry_id} is not in the ledger")
        return entry

    def _move(self, entry_id: str, source: EntryState, target: EntryState, **changes: Any) -> Ledger:
        entry = self._known(entry_id)
        if entry.state is not source:
            raise LedgerError(f"{entry_id} is {entry.state}; only {source} may become {target}")
        return self._with(replace(entry, state=target, **changes))

    def _with(self, entry: Entry) -> Ledger:
        return Ledger(MappingProxyType({**self.entries, entry.id: entry}))
