"""What one workflow task sends, kept under the size of one message."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from ..limits.payload_size import MAX_MESSAGE

FRAME = 1_000
"""Bytes that a call has beside its arguments: its names, its header and its summary."""

_NEXT_TASK = timedelta(milliseconds=1)


class OutgoingMessage:
    """Counts the bytes that the current workflow task schedules."""

    def __init__(self, *, frame: int = FRAME) -> None:
        """Starts with nothing scheduled.

        Args:
            frame: Bytes of a command beside its arguments.
        """
        self._frame = frame
        self._history_length = -1
        self._bytes = 0

    async def make_room(self, size: int) -> None:
        """Waits, by a timer, for a later workflow task where this one has no room for `size` bytes."""
        size += self._frame
        while not self._fits(size):
            await workflow.sleep(_NEXT_TASK, summary="room for large arguments")
        self._bytes += size

    def _fits(self, size: int) -> bool:
        length = workflow.info().get_current_history_length()
        if length != self._history_length:
            self._history_length, self._bytes = length, 0
        return self._bytes == 0 or self._bytes + size <= MAX_MESSAGE
