"""What is typed at the terminal, a line at a time, while other things go on."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from contextlib import suppress

from .output import printable


def is_in_front() -> bool:
    """Returns whether this process may read from its terminal; a shell's background job would be stopped."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return True  # it is not this process's own terminal, and job control does not stop it


def forget_typed() -> None:
    """Drops what has been typed before something is asked, because it cannot be an answer."""
    with suppress(termios.error, OSError):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


async def ask_line(text: str) -> str:
    """Shows a text and reads what is typed after it; raises what `read_line` raises."""
    sys.stderr.write(printable(text))
    sys.stderr.flush()
    return (await read_line()).strip()


async def read_line() -> str:
    """Reads one line from the terminal without blocking what goes on in the meantime.

    Raises:
        EOFError: Nothing more can be typed: somebody has said so with Ctrl-D, the terminal is gone, or this
            process was sent to the background.
    """
    loop = asyncio.get_running_loop()
    terminal = sys.stdin.fileno()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        loop.remove_reader(terminal)  # it stays readable until it is read
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(terminal, wake)
    try:
        await ready
    finally:
        loop.remove_reader(terminal)
    line = b""
    if is_in_front():
        with suppress(OSError):
            line = os.read(terminal, 4096)
    if not line:
        raise EOFError
    return line.decode(errors="replace")
