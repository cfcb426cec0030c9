"""How far the undos of a task have come: their times, and what is still to be begun."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from ..ledger.entry import ENDED, Entry
from ..ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class UndoTime:
    """The times of one undo.

    Attributes:
        began: When it was first begun.
        ended: When its last run ended, or somebody settled it; None while it runs, or is to run again.
    """

    began: datetime
    ended: datetime | None = None


class UndoProgress:
    """What the record knows of undos beside the ledger.

    Attributes:
        times: By id of the entry, for the undos that were begun.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Starts where nothing is undone yet.

        Args:
            now: The task's clock (deterministic).
        """
        self.times: dict[str, UndoTime] = {}
        self._now = now
        self._rollbacks: list[frozenset[str] | None] = []

    def begin(self, entry_id: str) -> None:
        """Notes that an undo begins, perhaps again."""
        before = self.times.get(entry_id)
        self.times[entry_id] = UndoTime(before.began if before else self._now())

    def end(self, entry_id: str) -> None:
        """Notes that an undo has ended, whether it has succeeded or not."""
        self.times[entry_id] = replace(self.times[entry_id], ended=self._now())

    def await_again(self, entry_id: str) -> None:
        """Notes that an undo is to be run again."""
        self.times[entry_id] = replace(self.times[entry_id], ended=None)

    def stuck(self, ledger: Ledger) -> list[tuple[Entry, datetime]]:
        """Returns the entries whose undos are stuck, oldest first, each with the time since when."""
        times = ((entry, self.times[entry.id]) for entry in ledger.stuck())
        return [(entry, time.ended or time.began) for entry, time in times]

    @contextmanager
    def rolling_back(self, within: frozenset[str] | None) -> Iterator[None]:
        """Says that these entries of the ledger, or all, are to be undone meanwhile."""
        self._rollbacks.append(within)
        try:
            yield
        finally:
            self._rollbacks.remove(within)

    def to_come(self, ledger: Ledger) -> Iterator[Entry]:
        """Yields the entries whose undos a rollback that goes on has still to begin, newest first."""
        if not self._rollbacks:
            return
        parts = [part for part in self._rollbacks if part is not None]
        is_whole = len(parts) < len(self._rollbacks)
        within = None if is_whole else frozenset(entry_id for part in parts for entry_id in part)
        for entry_id in ledger.open(within=within):
            if not ledger[entry_id].attempts:
                yield ledger[entry_id]

    def count_to_come(self, ledger: Ledger) -> int:
        """Returns how many entries `to_come` yields."""
        if None in self._rollbacks:
            return ledger.count_open() - sum(entry.state not in ENDED for entry in ledger.begun())
        return sum(1 for _ in self.to_come(ledger))


def undone_steps(ledger: Ledger, undo_order: Iterable[str]) -> list[str]:
    """Returns the steps whose undos are all done, in the order in which they finished.

    Args:
        ledger: What had to be undone.
        undo_order: Ids of its entries in the order in which their undos finished.
    """
    last = {ledger[entry_id].step: position for position, entry_id in enumerate(undo_order)}
    return [step for step in sorted(last, key=lambda step: last[step]) if not ledger.stands(step)]
