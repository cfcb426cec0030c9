"""A process of Counterstep's: what it keeps while it serves, and how it ends."""

from __future__ import annotations

import gc
import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn


def end_process(code: int) -> NoReturn:
    """Writes out all buffers and ends the process without the interpreter's own clean-up.

    With the threads of the Temporal SDK that clean-up crashes now and then, which would change the exit code.
    It would also wait for a tool that hangs in a thread.

    Args:
        code: The exit code.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__):
        # The reader of our output may be gone, but the exit code still counts.
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]
    os._exit(code)


def keep_what_is_loaded() -> None:
    """Spares later garbage collections what is in memory by now: it stays until the process ends."""
    gc.collect()
    gc.freeze()
