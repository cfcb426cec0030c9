"""Runs a server of the standard input and output for as long as somebody holds the other end of its input.

It is a program of its own, ``leash.py COMMAND...``, with nothing but the standard library. A worker that is
killed cannot end its children; the end of the input can. It also ends a server that floods: by a message that
is too long, or by too much of everything while nobody has asked for anything. What a server prints beside its
messages is not passed on. With what it complains of, it is in the leash's standard error output, a file that
always has the last of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import IO

LONGEST_MESSAGE = 4_000_000
"""Bytes in one message: a result of 1 MB in the most wasteful way to write it as JSON, and more."""

MOST_UNASKED = 16_000_000
"""Bytes that a server may write after the last message that it was sent."""

GRACE = 1.5
"""Seconds that a server has to end by itself once its input has ended."""

TOLD = 2000
"""Bytes of what the server has said last that are kept."""

VERDICT = "\x1e"
"""Begins the leash's own line, why it has ended."""


class Leash:
    """One server and what goes to it and comes from it."""

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        self._server = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
        self._last_words = b""
        self._writing = threading.Lock()
        self._unasked = 0

    def hold(self) -> None:
        """Passes everything on until the server ends or has to be ended."""
        assert self._server.stdin and self._server.stdout and self._server.stderr
        listening = threading.Thread(target=self._listen, args=(self._server.stderr,), daemon=True)
        listening.start()
        threading.Thread(target=self._ask, args=(self._server.stdin,), daemon=True).start()
        why = self._answer(self._server.stdout)
        if why:
            self._server.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(GRACE)
        listening.join(0.5)
        code = self._server.poll()
        told = why or ("it has closed its output" if code is None else f"it has ended with {code}")
        self._keep(f"\n{VERDICT}{told}\n".encode())
        self._end()

    def _ask(self, to_server: IO[bytes]) -> None:
        while chunk := os.read(0, 65536):
            self._unasked = 0
            try:
                to_server.write(chunk)
            except OSError:
                break
        with contextlib.suppress(OSError):
            to_server.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(GRACE)
        self._end()

    def _answer(self, from_server: IO[bytes]) -> str:
        length, is_message = 0, False
        while chunk := from_server.read(65536):
            self._unasked += len(chunk)
            if self._unasked > MOST_UNASKED:
                return f"it has sent more than {MOST_UNASKED} bytes unasked"
            passed = b""
            for line in _lines(chunk):
                if not length:
                    is_message = line.lstrip().startswith(b"{")
                length += len(line)
                if length > LONGEST_MESSAGE:
                    return f"it has sent a message of more than {LONGEST_MESSAGE} bytes"
                if is_message:
                    passed += line
                else:
                    self._keep(line)
                if line.endswith(b"\n"):
                    length = 0
            view = memoryview(passed)
            while view:
                view = view[os.write(1, view) :]
        return ""

    def _listen(self, errors: IO[bytes]) -> None:
        while chunk := errors.read(65536):
            self._keep(chunk)

    def _keep(self, words: bytes) -> None:
        with self._writing:
            self._last_words = (self._last_words + words)[-TOLD:]
            with contextlib.suppress(OSError):  # it is no file where somebody looks at it directly
                os.pwrite(2, self._last_words, 0)
                os.ftruncate(2, len(self._last_words))

    def _end(self) -> None:
        self._server.kill()
        if os.name == "posix" and os.getpgrp() == os.getpid():
            # This program leads the group: whatever the server has started ends with it.
            os.killpg(0, signal.SIGKILL)


def _lines(chunk: bytes) -> list[bytes]:
    *whole, rest = chunk.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


if __name__ == "__main__":
    try:
        Leash(sys.argv[1:]).hold()
    except OSError as error:
        sys.stderr.write(f"{VERDICT}it cannot be started: {error.strerror or error}\n")
        sys.stderr.flush()
    # A thread may still wait for input, which an ordinary exit would wait for.
    os._exit(1)
