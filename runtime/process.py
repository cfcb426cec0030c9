"""The one way a program of ours ends."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn


def end_process(code: int) -> NoReturn:
    """Ends the process with all it has written out, and without the interpreter's own clean-up.

    That clean-up crashes now and then under the threads of the Temporal SDK, and would replace the exit code;
    it would also wait for a tool that hangs in a thread.

    Args:
        code: The exit code.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__):
        # Whoever read our output may be gone; the exit code still counts.
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]
    os._exit(code)
