"""Keeps what one workflow task sends under the size of one message."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

MAX_MESSAGE = 2_500_000
"""Bytes of arguments that one workflow task may schedule.

gRPC messages end at 4 MB, and a workflow whose task is larger is terminated by the server without any undo
(seen with server 1.32 as ``GrpcMessageTooLarge``).
"""

_NEXT_TASK = timedelta(milliseconds=1)


class Outgoing:
    """Counts the bytes that the current workflow task schedules."""

    def __init__(self) -> None:
        """Starts with nothing scheduled."""
        self._history_length = -1
        self._bytes = 0

    async def make_room(self, size: int) -> None:
        """Waits, by a timer, for a later workflow task where this one has no room for `size` bytes."""
        while not self._fits(size):
            await workflow.sleep(_NEXT_TASK, summary="room for large arguments")
        self._bytes += size

    def _fits(self, size: int) -> bool:
        length = workflow.info().get_current_history_length()
        if length != self._history_length:
            self._history_length, self._bytes = length, 0
        return self._bytes == 0 or self._bytes + size <= MAX_MESSAGE
