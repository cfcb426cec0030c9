"""A process and all that it has started end with whoever holds its leash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from counterstep.activities.gateway import leash
from counterstep.tests.support.processes.watching import alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of all descendants")

FORKS = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
kept = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], start_new_session=True)
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        os.write(1, b"%d\\n" % os.getpid())
        time.sleep(100)
    os._exit(0)
os.wait()
os.write(1, b"%d %d %d\\n" % (os.getpid(), kept.pid, left.pid))
{then}
"""


def holding(then: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Starts a hostile process on a leash; returns the leash, and the processes that it has started."""
    command = [sys.executable, "-I", leash.__file__, sys.executable, "-c", FORKS.format(then=then)]
    held = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert held.stdout is not None
    pids = [int(pid) for _ in range(2) for pid in held.stdout.readline().split()]
    assert len(pids) == 4
    return held, pids


def gone(pids: list[int]) -> bool:
    """Waits for their end."""
    until = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, pids))


def test_whatever_it_has_started_ends_when_the_holder_lets_go() -> None:
    held, pids = holding("time.sleep(100)")
    assert all(map(alive, pids))
    assert held.stdin is not None
    held.stdin.close()
    assert held.wait(20) == 137
    assert gone(pids)


def test_it_ends_when_the_holder_is_killed() -> None:
    program = (
        "import subprocess, sys, time\n"
        "subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)\n"
        "time.sleep(100)\n"
    )
    command = [
        sys.executable,
        "-I",
        leash.__file__,
        sys.executable,
        "-c",
        FORKS.format(then="time.sleep(100)"),
    ]
    holder = subprocess.Popen([sys.executable, "-c", program, *command], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    pids = [int(pid) for _ in range(2) for pid in holder.stdout.readline().split()]
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert gone(pids)


def test_what_it_leaves_behind_ends_with_it() -> None:
    held, pids = holding("sys.exit(3)")
    assert held.wait(20) == 3
    assert gone(pids)


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-I", leash.__file__, str(tmp_path / "no-such-program")]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert ended.returncode in (leash.NOT_STARTED, 137)
    assert b"cannot be started: No such file or directory" in ended.stderr


def test_it_says_how_a_command_has_ended() -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    command = [sys.executable, "-I", leash.__file__, sys.executable, "-c", program]
    ended = subprocess.run(command, stdin=_open(), capture_output=True, timeout=20)
    assert ended.returncode == 128 + signal.SIGSEGV


def _open() -> int:
    """Returns the end of a pipe whose other end this process holds for as long as it lives."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, False)
    return reading
