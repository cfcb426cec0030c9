"""What one workflow task sends, kept under the size of one message."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

from temporalio import workflow

from ..limits.payload_size import MAX_MESSAGE
from .rest import Rest

FRAME = 1_000
"""Bytes that a call has beside its arguments: its names, its header and its summary."""


class OutgoingMessage:
    """Counts the bytes that the current workflow task schedules."""

    def __init__(self, rest: Rest, *, frame: int, in_turn: bool) -> None:
        """Starts with nothing scheduled.

        Args:
            rest: The wait for a later workflow task.
            frame: Bytes of a command beside its arguments.
            in_turn: False for tasks that were begun when each call that waited had a timer of its own.
        """
        self._rest = rest
        self._frame = frame
        self._in_turn = in_turn
        self._turns = asyncio.Lock()
        self._history_length = -1
        self._bytes = 0

    async def make_room(self, size: int) -> None:
        """Waits for a later workflow task where this one has no room for `size` bytes."""
        size += self._frame
        if not self._fits(size):
            async with self._turns if self._in_turn else nullcontext():
                while not self._fits(size):
                    await self._rest.take("room for large arguments")
        self._bytes += size

    def _fits(self, size: int) -> bool:
        length = workflow.info().get_current_history_length()
        if length != self._history_length:
            self._history_length, self._bytes = length, 0
        return self._bytes == 0 or self._bytes + size <= MAX_MESSAGE
