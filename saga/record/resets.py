"""How often the running workflow was reset, and which calls have ended since."""

from __future__ import annotations

from collections.abc import Callable


class Resets:
    """The resets of one run, told apart from what the part of its history holds that they have kept.

    Attributes:
        count: How often the running workflow was reset since its record was opened.
    """

    def __init__(self, history_length: Callable[[], int] = lambda: 0) -> None:
        """Starts with no reset seen; `history_length` says up to where the history has been told."""
        self.count = 0
        self._length = history_length
        self._at = -1
        self._ended: dict[str, int] = {}

    def add(self) -> None:
        """Records that the running workflow was reset; its history is told anew up to here."""
        self.count += 1
        self._at = self._length()

    def note_end(self, entry_id: str) -> None:
        """Records that the call of a ledger entry has ended."""
        if not self.count:
            return
        # What ends in the very turn of the reset has ended in the part of the history that was kept.
        before = self.count - (self._length() == self._at)
        if before:
            self._ended[entry_id] = before

    def has_ended_since(self, entry_id: str, reset: int) -> bool:
        """Says whether a call has ended, and so was made or made again, after the reset of this number."""
        return self._ended.get(entry_id, 0) >= reset
