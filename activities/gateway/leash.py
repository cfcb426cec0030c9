"""Runs a command, and ends it with all that it has started when nobody holds the end of our input any more.

It is a program of its own, ``leash.py COMMAND...``, with nothing but the standard library: a worker that is
killed cannot end its children, but the end of a pipe can. On Linux it also reaps what has left the command's
process group: as a subreaper (prctl(2), PR_SET_CHILD_SUBREAPER) it becomes the parent of every orphan.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

GRACE = 2.0
"""Seconds that the command has to end by itself once it is asked to."""

NOT_STARTED = 125
"""How it ends where the command cannot be started; the reason is on its standard error output."""

_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _descendants() -> list[int]:
    """Returns the processes below this one; only Linux tells."""
    parents: dict[int, int] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            with (
                contextlib.suppress(OSError, ValueError, IndexError),
                open(f"/proc/{int(name)}/stat", "rb") as stat,
            ):
                parents[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


def _signal_all(child: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(child, number)
    for pid in _descendants():
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def end(child: subprocess.Popen[bytes]) -> None:
    """Ends the command and whatever it has started: politely first, and then for certain."""
    _signal_all(child.pid, signal.SIGTERM)
    until = time.monotonic() + GRACE
    while time.monotonic() < until and (child.poll() is None or _descendants()):
        time.sleep(0.02)
    # What is started while others are ended has a parent that is ended in the next round.
    for _ in range(100):
        _signal_all(child.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not _descendants():
            return
        time.sleep(0.01)


def hold(command: list[str]) -> int:
    """Runs a command to its end, or until the input of this program has ended; returns how it has ended."""
    _prctl(_SET_SUBREAPER, 1)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL),
        )
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror or error}\n")
        return NOT_STARTED

    def watch() -> None:
        with contextlib.suppress(OSError):
            os.read(0, 1)  # nothing is ever written: it returns at the end of the pipe
        end(child)
        os._exit(137)

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    end(child)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    ended = hold(sys.argv[1:])
    sys.stderr.flush()
    os._exit(ended)
