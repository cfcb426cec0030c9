"""The tokens of CEL source, and the ``${{ }}`` holes of a text that hold such source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>//[^\n]*)
  | (?P<raw>[bB]?[rR](?:\"\"\"(?s:.*?)\"\"\"|'''(?s:.*?)'''|"[^"\n]*"|'[^'\n]*'))
  | (?P<string>[bB]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
                     |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<number>0x[0-9a-fA-F]+[uU]?|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<mark>[=!<>]=|&&|\|\||.)
    """,
    re.VERBOSE | re.DOTALL,
)

OPEN, CLOSE = "${{", "}}"


class Token(NamedTuple):
    """One token of CEL source; `kind` is string, number, name or mark."""

    kind: str
    text: str


class Hole(NamedTuple):
    """One ``${{ }}`` of a text, from `start` to `end`, with the expression in it.

    A hole that nothing closes reaches to the end of the text, and its `source` begins with ``${{``, which no
    expression does.
    """

    start: int
    end: int
    source: str


def tokenize(source: str) -> list[Token]:
    """Returns the tokens of `source` without blanks and comments; anything at all has tokens."""
    tokens: list[Token] = []
    for match in _TOKEN.finditer(source):
        kind = match.lastgroup or "mark"
        if kind not in ("space", "comment"):
            tokens.append(Token("string" if kind == "raw" else kind, match.group()))
    return tokens


def holes(text: str) -> Iterator[Hole]:
    """Yields the holes of `text` from left to right."""
    start = text.find(OPEN)
    while start >= 0:
        close = _closing(text, start + len(OPEN))
        if close is None:
            yield Hole(start, len(text), text[start:])
            return
        yield Hole(start, close + len(CLOSE), text[start + len(OPEN) : close].strip())
        start = text.find(OPEN, close + len(CLOSE))


def is_one_hole(text: str) -> bool:
    """Says whether `text` is one whole ``${{ }}``."""
    first = next(holes(text), None)
    return first is not None and text[first.start : first.end] == text.strip()


@lru_cache(maxsize=1024)
def _closing(text: str, position: int) -> int | None:
    """Finds the ``}}`` that ends a hole: not one of a string, nor one that closes maps of the expression."""
    depth = 0
    while position < len(text):
        if depth == 0 and text.startswith(CLOSE, position):
            return position
        match = _TOKEN.match(text, position)
        assert match is not None
        if match.lastgroup == "comment":
            # A comment ends with its hole.
            end = match.group().find(CLOSE)
            position = match.end() if end < 0 else position + end
            continue
        if match.group() == "{":
            depth += 1
        elif match.group() == "}":
            depth = max(depth - 1, 0)
        position = match.end()
    return None
