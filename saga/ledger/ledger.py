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

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import islice
from typing import Any

from .books import Books
from .entry import ENDED, GONE, Entry, EntryState, LedgerError
from .needs import Needs
from .rewiring import rewired

__all__ = ["Entry", "EntryState", "Ledger", "LedgerError"]


class Ledger:
    """All entries of one task, in the order in which they were armed.

    The newest ledger has the books (`Books`). An older one knows what has changed since, and only when
    somebody still asks it anything are its own books made from that: so a change costs what it changes, and
    not a copy of everything.
    """

    __slots__ = ("_books", "_later")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Makes a ledger of entries, oldest first, of which each depends on older ones only."""
        self._books: Books | None = Books(entries)
        self._later: tuple[Ledger, str, Entry | None] | None = None

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The entries by id."""
        return _Entries(self)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._own().entries.values()))

    def __len__(self) -> int:
        return len(self._own().entries)

    def __getitem__(self, entry_id: str) -> Entry:
        return self._own().entries[entry_id]

    def __contains__(self, entry_id: object) -> bool:
        return entry_id in self._own().entries

    def arm(self, entry: Entry) -> Ledger:
        """Records an undo before its forward call is scheduled.

        Raises:
            LedgerError: The id is taken, or the entry depends on one that is not there or whose undo has
                begun: it would come too late to be undone first.
        """
        books = self._own()
        if entry.id in books.entries:
            raise LedgerError(f"{entry.id} is in the ledger already")
        depends_on = frozenset(entry.depends_on)
        if not books.has(depends_on):
            unknown = sorted(depends_on - books.entries.keys())
            raise LedgerError(f"{entry.id} depends on {unknown}, which the ledger does not know")
        if entry.state is not EntryState.ARMED:
            raise LedgerError(f"{entry.id} must be armed first, not {entry.state}")
        # All of them, not the direct ones alone: an entry in between may be void, and the order stays.
        needs = books.needs(depends_on)
        begun = books.begun_in(needs)
        if begun:
            raise LedgerError(f"{entry.id} depends on {begun}, whose undo has begun")
        return self._with(replace(entry, depends_on=needs))

    def rewire(self, depends_on: Mapping[str, Set[str]], *, gone: Set[str] = frozenset()) -> Ledger:
        """Records that entries stand although what they were built on was replaced.

        They, and what depends on them, are moved behind what they build on now, and keep their order as far
        as that allows.

        Args:
            depends_on: By id, what an entry builds on from now on, in place of what it did.
            gone: What is about to be undone: nothing else that is moved depends on it any more.

        Returns:
            The new ledger.

        Raises:
            LedgerError: Entries would depend on each other.
        """
        return Ledger(rewired(list(self), self.dependents(depends_on), depends_on, gone))

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
        if self._own().is_held(entry_id):
            raise LedgerError(f"the undo of {entry_id} must wait for {self.blockers(entry_id)}")
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
        books = self._own()
        if entry_id in books.entries and not books.is_held(entry_id):
            return []
        built_on = self.dependents([entry_id]) - {entry_id}
        return [e.id for e in self if e.id in built_on and e.state not in ENDED]

    def ready(
        self, *, within: Iterable[str] | None = None, sequential: bool = False, most: int | None = None
    ) -> list[str]:
        """Names the entries whose undo may begin now.

        Args:
            within: Only these entries are to be undone; None for all. Close it over dependents first
                (`dependents`), or entries in it wait for entries outside it.
            sequential: One at a time, newest start first.
            most: How many to name; None for all.

        Returns:
            Entry ids, newest first. Empty when nothing is left, or all that is left waits.
        """
        books = self._own()
        if sequential:
            newest = next(iter(self._newest_first(books.open, within)), None)
            free = newest is not None and books.entries[newest].state is EntryState.SETTLED
            return [newest] if newest is not None and free and not books.is_held(newest) else []
        return list(islice(self._newest_first(books.free, within), most))

    def open(self, *, within: Iterable[str] | None = None) -> list[str]:
        """Names the entries that still have to be undone, newest first."""
        return list(self._newest_first(self._own().open, within))

    def is_open(self, *, within: Iterable[str] | None = None) -> bool:
        """Says whether an entry still has to be undone."""
        return any(True for _ in self._newest_first(self._own().open, within))

    def count_open(self) -> int:
        """Returns how many entries still have to be undone."""
        return len(self._own().open)

    def dependents(self, entry_ids: Iterable[str]) -> set[str]:
        """Returns `entry_ids` and every entry that depends on one of them, directly or not."""
        affected = set(entry_ids)
        builds: dict[int, bool] = {}
        for entry in self:
            needs = entry.depends_on
            assert isinstance(needs, Needs)
            if id(needs) not in builds:
                builds[id(needs)] = not affected.isdisjoint(needs.direct)
            if builds[id(needs)]:
                affected.add(entry.id)
        return affected

    def under(self, path: str) -> frozenset[str]:
        """Returns the ids of the entries of the call at `path`, of its items, and of those inside of it."""
        return frozenset(self._own().by_path.get(path, ()))

    def count_under(self, path: str) -> int:
        """Returns how many entries `under` returns; it only grows."""
        return len(self._own().by_path.get(path, ()))

    def of_step(self, step: str) -> frozenset[str]:
        """Returns the ids of the entries of a step."""
        return frozenset(self._own().by_step.get(step, ()))

    def of(self, belongs: Callable[[Entry], bool]) -> frozenset[str]:
        """Returns the ids of the entries for which `belongs` is true."""
        return frozenset(e.id for e in self if belongs(e))

    def stuck(self, name: str | None = None) -> list[Entry]:
        """Returns the entries whose undos are stuck, oldest first: all, or those that `name` names."""
        books = self._own()
        stuck = [books.entries[entry_id] for entry_id in sorted(books.stuck, key=books.places.__getitem__)]
        return [e for e in stuck if name is None or e.is_named(name)]

    def begun(self) -> list[Entry]:
        """Returns the entries whose undo has been begun and is not done, in the order of beginning."""
        books = self._own()
        return [books.entries[entry_id] for entry_id in books.begun]

    def stands(self, step: str) -> bool:
        """Says whether an effect of a step stands."""
        return self._own().standing[step] > 0

    def remaining(self) -> list[Entry]:
        """Returns the entries whose effects stand, oldest first."""
        return [e for e in self if e.state not in GONE]

    def not_undone_steps(self) -> list[str]:
        """Returns the steps of which an undo is missing, newest first."""
        return list(dict.fromkeys(e.step for e in reversed(self.remaining())))

    def skipped_steps(self) -> list[str]:
        """Returns the steps of which somebody has chosen to leave an effect that was to be undone."""
        return list(dict.fromkeys(e.step for e in self if e.state is EntryState.SKIPPED))

    def _newest_first(self, places: Sequence[int], within: Iterable[str] | None) -> Iterator[str]:
        """Names the entries at ascending places, those of them that are within."""
        books = self._own()
        if within is not None:
            wanted = frozenset(within)
            if len(wanted) > len(places):
                return (books.ids[place] for place in reversed(places) if books.ids[place] in wanted)
            known = sorted(books.places[entry_id] for entry_id in wanted if entry_id in books.places)
            places = [place for place in known if _has(places, place)]
        return (books.ids[place] for place in reversed(places))

    def _known(self, entry_id: str) -> Entry:
        entry = self._own().entries.get(entry_id)
        if entry is None:
            raise LedgerError(f"{entry_id} is not in the ledger")
        return entry

    def _move(self, entry_id: str, source: EntryState, target: EntryState, **changes: Any) -> Ledger:
        entry = self._known(entry_id)
        if entry.state is not source:
            raise LedgerError(f"{entry_id} is {entry.state}; only {source} may become {target}")
        return self._with(replace(entry, state=target, **changes))

    def _with(self, entry: Entry) -> Ledger:
        """Hands the books on to a new ledger that has this entry."""
        books = self._own()
        before = books.entries.get(entry.id)
        if before is None:
            books.add(entry)
        else:
            books.put(entry)
        later = Ledger.__new__(Ledger)
        later._books, later._later = books, None
        self._books, self._later = None, (later, entry.id, before)
        return later

    def _own(self) -> Books:
        if self._books is None:
            self._books, self._later = self._made_again(), None
        return self._books

    def _made_again(self) -> Books:
        """Makes the books of an older ledger by taking back what has changed since."""
        changes: list[tuple[str, Entry | None]] = []
        ledger = self
        while ledger._later is not None:
            later, entry_id, before = ledger._later
            changes.append((entry_id, before))
            ledger = later
        entries = dict(ledger._own().entries)
        for entry_id, before in reversed(changes):
            if before is None:
                del entries[entry_id]
            else:
                entries[entry_id] = before
        return Books(entries.values())


class _Entries(Mapping[str, Entry]):
    """The entries of a ledger by id."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __getitem__(self, entry_id: str) -> Entry:
        return self._ledger[entry_id]

    def __iter__(self) -> Iterator[str]:
        return (entry.id for entry in self._ledger)

    def __len__(self) -> int:
        return len(self._ledger)


def _has(places: Sequence[int], place: int) -> bool:
    at = bisect_left(places, place)
    return at < len(places) and places[at] == place
