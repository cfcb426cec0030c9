"""Removes keys and credentials from text that leaves the process: logs, and failures in histories."""

from __future__ import annotations

import json
import os
import re

REDACTED = "[redacted]"

_SECRET_VARIABLE = re.compile(r"(?i)_(key|token|secret|pass(word|phrase|wd)?|pwd)$|^pgpassword$")
_SECRET_FIELD = re.compile(
    # Not every name with "key" in it: idempotency keys have to be visible in logs.
    r"(?i)(api|access|private|signing|secret|encryption)[_-]?key$|secret|pass(word|phrase|wd)|(^|[_-])pwd$"
    r"|authorization|credential|cookie|(^|[_-])token$"
)
_SHORTEST_SECRET = 6
_SHAPES = (
    re.compile(r"\bsk-[\w*.-]+"),
    re.compile(r"\bAIza[\w-]{10,}"),
    re.compile(r"(?i)\bbearer\s+[^\s\"',;]+"),
    re.compile(r"(?i)\bauthorization[\"']?\s*[:=]\s*[\"']?[^\s\"',;]+(?:\s+[^\s\"',;]+)?"),
    re.compile(r"(?i)(?<=://)[^/\s:@]*:[^\s\"']+(?=@)"),
    re.compile(
        r"(?i)\b(?:api[_-]?key|\w+[_-]token|\w*secret|\w*password|(?<=[?&])(?:key|token))[\"']?\s*[=:]\s*"
        r"(?:\"[^\"]*\"|'[^']*'|[^\s\"',;&}]+)"
    ),
)
_known: set[str] = set()


def hide(secret: str) -> None:
    """Removes a secret that is not in an environment variable from now on, if it has at least six letters."""
    _known.add(secret)


def show(secret: str) -> None:
    """Takes back what `hide` was told of a secret that is of no use to anybody any more."""
    _known.discard(secret)


def names_a_secret(name: str) -> bool:
    """Returns whether a field of this name holds a secret."""
    return _SECRET_FIELD.search(name) is not None


def redacted(text: str) -> str:
    """Returns a text without keys.

    Args:
        text: Any text, e.g. a message, a traceback or an address.

    Returns:
        The text without the values of environment variables that are named like secrets, without what `hide`
        was told, and without what looks like a key, a password in an address, or an authorization header.
    """
    values = _known.union(value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name))
    known = [value for value in values if len(value) >= _SHORTEST_SECRET]
    # A secret of several lines, or with quotes in it, is often written as Python or JSON would.
    written = {form for value in known for form in (value, repr(value)[1:-1], json.dumps(value)[1:-1])}
    for form in sorted(written, key=len, reverse=True):
        text = text.replace(form, REDACTED)
    for shape in _SHAPES:
        text = shape.sub(REDACTED, text)
    return text
