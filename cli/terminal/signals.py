"""Ctrl-C and SIGTERM as events that a command awaits, and the question that follows."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Final

from .keyboard import ask_line

ANSWERS: Final = ("cancel", "leave", "go on")
"""What can be done with a task whose command was interrupted."""

_WORDS: Final = {
    **dict.fromkeys(("c", "cancel", "u", "undo", "cancel and undo"), "cancel"),
    **dict.fromkeys(("l", "leave", "leave it", "leave it running"), "leave"),
    **dict.fromkeys(("", "g", "go", "go on", "continue", "watch", "stay"), "go on"),
}
"""Whole words only: `continue` begins like `cancel` and means the opposite."""


class Signals:
    """Collects the signals that arrive from now on.

    Attributes:
        interactive: Whether somebody is at a terminal and can be asked.
    """

    def __init__(self) -> None:
        """Takes SIGINT and SIGTERM over from Python; an event loop has to be running."""
        self.interactive = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
        self._arrived: asyncio.Queue[signal.Signals] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._arrived.put_nowait, number)

    async def next(self) -> signal.Signals:
        """Waits for the next signal."""
        return await self._arrived.get()


async def ask(workflow_id: str) -> str:
    """Asks at the terminal what to do with a task.

    Returns:
        One of `ANSWERS`; an empty answer means to go on.
    """
    text = f"\n{workflow_id}: [c]ancel and undo, [l]eave it running, or [g]o on? "
    while True:
        try:
            answer = understood(await ask_line(text))
        except EOFError:
            return "go on"
        if answer is not None:
            return answer
        text = "Type c (cancel), l (leave) or g (go on): "


def understood(line: str) -> str | None:
    """Returns which of `ANSWERS` somebody has typed; None where it is none of them."""
    return _WORDS.get(" ".join(line.lower().strip(" \t\r\n.!").split()))
