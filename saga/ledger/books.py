"""The ledger's books: its entries, and beside them whatever would else be searched for among all of them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

from .entry import BEGUN, ENDED, GONE, Entry, EntryState
from .needs import NOTHING, Needs

_REMEMBERED = 100
"""So many sets of ids are known by what they come to: steps that run side by side have one each."""


class Books:
    """The entries of one ledger, which change in place; `Ledger` makes a value of them.

    An entry is held while anything that depends on it, directly or not, has not ended. That is counted: an
    entry is alive while it has not ended or is held, and each that comes alive holds what it depends on
    directly. So every change costs what it changes, and nothing is searched.

    Attributes:
        entries: By id, in the order in which they were armed.
        free: The places of the entries that have settled and that nothing holds, ascending.
        open: The places of those that have not ended, ascending.
        begun: The ids of those whose undo has been begun and is not done, in the order of beginning.
        stuck: The ids of those whose undo is stuck.
        standing: By step, how many effects stand.
        by_step: By step, the ids.
        by_path: By path, the ids of the call there, of its items, and of those inside.
        ids: By place, the ids.
        places: The places, by id.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Opens books with entries, oldest first."""
        self.entries: dict[str, Entry] = {}
        self.free: list[int] = []
        self.open: list[int] = []
        self.begun: dict[str, None] = {}
        self.stuck: dict[str, None] = {}
        self.standing: Counter[str] = Counter()
        self.by_step: dict[str, list[str]] = defaultdict(list)
        self.by_path: dict[str, list[str]] = defaultdict(list)
        self.ids: list[str] = []
        self.places: dict[str, int] = {}
        self._holds: dict[str, int] = {}
        self._alive: Counter[int] = Counter()
        self._reduced: dict[frozenset[str], Needs] = {}
        self._shared: dict[tuple[str, ...], Needs] = {}
        self._untouched: dict[int, Needs] = {}
        for entry in entries:
            known = isinstance(entry.depends_on, Needs)
            self.add(entry if known else replace(entry, depends_on=self.needs(frozenset(entry.depends_on))))

    def is_held(self, entry_id: str) -> bool:
        """Says whether something that has not ended depends on an entry."""
        return self._holds[entry_id] > 0

    def has(self, ids: frozenset[str]) -> bool:
        """Says whether all of these ids are there."""
        return ids in self._reduced or self.entries.keys() >= ids

    def needs(self, ids: frozenset[str]) -> Needs:
        """Returns what depending on these ids comes to."""
        if not ids:
            return NOTHING
        known = self._reduced.get(ids)
        if known is None:
            direct = self._direct(ids)
            known = self._shared.setdefault(tuple(direct), Needs(direct))
            if len(self._reduced) >= _REMEMBERED:
                self._reduced.clear()
            self._reduced[ids] = known
        return known

    def _direct(self, ids: frozenset[str]) -> dict[str, Needs]:
        """Leaves out what follows from others of the same ids."""
        newest_first = sorted(ids, key=self.places.__getitem__, reverse=True)
        oldest = self.places[newest_first[-1]]
        left, visited = set(ids), set[int]()
        direct: dict[str, Needs] = {}
        for name in newest_first:
            if name not in left:
                continue
            left.discard(name)
            direct[name] = self._needs_of(name)
            stack = [direct[name]]
            while stack and left:
                needs = stack.pop()
                newest = next(iter(needs.direct), None)
                if newest is None or id(needs) in visited or self.places[newest] < oldest:
                    continue
                visited.add(id(needs))
                left.difference_update(needs.direct)
                stack += needs.direct.values()
        return direct

    def _needs_of(self, entry_id: str) -> Needs:
        needs = self.entries[entry_id].depends_on
        assert isinstance(needs, Needs)
        return needs

    def begun_in(self, needs: Needs) -> list[str]:
        """Names those of `needs` whose undo has begun and has not ended."""
        if not self.begun or id(needs) in self._untouched:
            return []
        found = sorted(name for name in needs if self.entries[name].state in BEGUN)
        if not found:
            self._untouched[id(needs)] = needs
        return found

    # --- changes

    def add(self, entry: Entry) -> None:
        """Adds an entry whose `depends_on` are `needs` of these books."""
        place = len(self.ids)
        self.ids.append(entry.id)
        self.places[entry.id] = place
        self.by_step[entry.step].append(entry.id)
        for path in _paths(entry.id):
            self.by_path[path].append(entry.id)
        self._holds[entry.id] = 0
        self.entries[entry.id] = entry
        if entry.state not in ENDED:
            self.open.append(place)
            self._hold(self._needs_of(entry.id))
        self._note(entry)

    def put(self, entry: Entry) -> None:
        """Puts an entry in the place of the one of the same id."""
        before, place = self.entries[entry.id], self.places[entry.id]
        if before.state not in GONE:
            self.standing[before.step] -= 1
        self.entries[entry.id] = entry
        self._note(entry)
        if before.state not in ENDED and entry.state in ENDED:
            del self.open[bisect_left(self.open, place)]
            if not self._holds[entry.id]:
                self._let_go(self._needs_of(entry.id))

    def _note(self, entry: Entry) -> None:
        if entry.state not in GONE:
            self.standing[entry.step] += 1
        if entry.attempts and entry.state is not EntryState.UNDONE:
            self.begun.setdefault(entry.id)
        else:
            self.begun.pop(entry.id, None)
        if entry.state is EntryState.STUCK:
            self.stuck.setdefault(entry.id)
        else:
            self.stuck.pop(entry.id, None)
        if entry.state is EntryState.UNDOING:
            self._untouched.clear()
        self._sort_in(entry.id)

    def _sort_in(self, entry_id: str) -> None:
        """Adds an entry to those that are free, or takes it out."""
        place = self.places[entry_id]
        at = bisect_left(self.free, place)
        there = at < len(self.free) and self.free[at] == place
        is_free = self.entries[entry_id].state is EntryState.SETTLED and not self._holds[entry_id]
        if is_free and not there:
            insort(self.free, place)
        elif there and not is_free:
            del self.free[at]

    def _hold(self, needs: Needs) -> None:
        stack = [needs]
        while stack:
            needs = stack.pop()
            self._alive[id(needs)] += 1
            if self._alive[id(needs)] > 1:
                continue
            for name in needs.direct:
                self._holds[name] += 1
                if self._holds[name] > 1:
                    continue
                self._sort_in(name)
                if self.entries[name].state in ENDED:
                    stack.append(self._needs_of(name))

    def _let_go(self, needs: Needs) -> None:
        stack = [needs]
        while stack:
            needs = stack.pop()
            self._alive[id(needs)] -= 1
            if self._alive[id(needs)]:
                continue
            for name in needs.direct:
                self._holds[name] -= 1
                if self._holds[name]:
                    continue
                self._sort_in(name)
                if self.entries[name].state in ENDED:
                    stack.append(self._needs_of(name))


def _paths(entry_id: str) -> list[str]:
    """Returns the path of a call, and those that it is inside of or an item of."""
    path = entry_id.rpartition("#")[0] or entry_id
    return [path[:at] for at, sign in enumerate(path) if sign in "/["] + [path]
