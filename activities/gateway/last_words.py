"""What a process has said last, without the lines of a traceback that tell only where it was."""

from __future__ import annotations

import re
from typing import Final

_BARS: Final = re.compile(r"^\s*(?:\| ?|\+-[-+\d ]*$)")
"""What Python draws in front of the lines of a group of exceptions, and between them."""

_FRAME: Final = re.compile(r'^(?: *\| )?\s+(?:File ".*", line \d+|at .+:\d+)', re.MULTILINE)
"""A line of Python's tracebacks or Node's that names a place."""

_BETWEEN: Final = (
    "Traceback (most recent call last):",
    "Exception Group Traceback (most recent call last):",
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)


def last_words(said: str, *, is_cut: bool) -> str:
    """Returns what a process has said last; of a traceback only the errors are kept.

    Args:
        said: The end of its standard error.
        is_cut: Whether it has said more before that, so that the first line may be the rest of one.
    """
    if not _FRAME.search(said):
        return said.strip()
    lines = said.splitlines()[1 if is_cut else 0 :]
    bare = [_BARS.sub("", line).rstrip() for line in lines]
    told = [line for line in bare if line and not line[0].isspace() and line.strip(" +") not in _BETWEEN]
    return "\n".join(told) or said.strip()
