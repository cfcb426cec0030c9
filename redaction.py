"""Takes keys and credentials out of text that leaves the process: logs, and failures that histories keep."""

from __future__ import annotations

import os
import re

REDACTED = "[redacted]"

_SECRET_VARIABLE = re.compile(r"(?i)_(key|token|secret|password|pwd)$|^pgpassword$")
_SHORTEST_SECRET = 6
_SHAPES = (
    re.compile(r"\bsk-[\w*.-]+"),
    re.compile(r"\bAIza[\w-]{10,}"),
    re.compile(r"(?i)\bbearer\s+[^\s\"',;]+"),
    re.compile(r"(?i)\bauthorization[\"']?\s*[:=]\s*[\"']?[^\s\"',;]+(?:\s+[^\s\"',;]+)?"),
    re.compile(r"(?i)(?<=://)[^/\s:@]*:[^/\s]+(?=@)"),
    re.compile(
        r"(?i)\b(?:api[_-]?key|\w+[_-]token|\w*secret|\w*password|(?<=[?&])key)[\"']?\s*[=:]\s*[\"']?[^\s\"',;&}]+"
    ),
)
_known: set[str] = set()


def hide(secret: str) -> None:
    """Has a secret taken out from now on that is no environment variable; one under six letters is not."""
    _known.add(secret)


def redacted(text: str) -> str:
    """Returns a text without keys.

    Args:
        text: Anything: a message, a traceback, an address.

    Returns:
        The text without the values of environment variables that are named like secrets, without what `hide`
        was told, and without what looks like a key, a password in an address, or an authorization header.
    """
    values = _known.union(value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name))
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, REDACTED)
    for shape in _SHAPES:
        text = shape.sub(REDACTED, text)
    return text
