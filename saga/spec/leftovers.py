"""Finds what looks like a hole of a template and is not filled in: `{{ x }}`, `${ x }`, a hole in a key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import Fault
from ..expressions.tokens import OPEN, holes
from .json_schema import join

_PATH = r"(?:task|steps|facts|item)\.[a-z_][\w.\[\]]*"
_LEFT = re.compile(
    r"\$?\s?\{\{(?P<braces>.*?)\}\}|\$\{(?!\{)(?P<dollar>[^{}]*)\}"
    rf"|[$#@%]?\{{\s*(?P<brace>{_PATH})\s*\}}|[$#@%]\(\s*(?P<round>{_PATH})\s*\)|\$(?P<name>{_PATH})",
    re.DOTALL,
)
_BARE = re.compile(r"steps\.[a-z][a-z0-9_]*\.(output|state)[\w.\[\]]*")
"""As a whole text: nobody means these words themselves."""

_SHOWN = 60


def template_leftovers(value: Any, path: str) -> Iterator[Fault]:
    """Yields what other template languages would fill in, and what stands in keys.

    Args:
        value: A template, which is a JSON value.
        path: Where it stands.
    """
    if isinstance(value, str):
        for found in _LEFT.finditer(_outside_holes(value)):
            yield Fault(path, _message(found.group().strip(), _inside(found)))
        if _BARE.fullmatch(value.strip()):
            yield Fault(path, _message(value.strip(), value.strip()))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            if OPEN in key or _LEFT.search(key):
                yield Fault(path, f"the key {key!r} is not filled in: only values are templates")
            yield from template_leftovers(part, join(path, [key]))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from template_leftovers(part, join(path, [index]))


def text_leftovers(value: str | None, path: str) -> Iterator[Fault]:
    """Yields a fault where a text that is not a template has something to be filled in."""
    if value is not None and (OPEN in value or _LEFT.search(value)):
        yield Fault(path, f"{_short(value)} is taken as it is: nothing is filled in here")


def bare_leftovers(source: str) -> str:
    """Says what is wrong where a whole bare expression stands between marks of a template, else nothing."""
    found = _LEFT.fullmatch(source.strip())
    return f"; write the expression alone: {_inside(found)}" if found is not None else ""


def _outside_holes(text: str) -> str:
    """Returns the text with a blank for each character of its holes."""
    for hole in holes(text):
        text = f"{text[: hole.start]}{' ' * (hole.end - hole.start)}{text[hole.end :]}"
    return text


def _message(left: str, inside: str) -> str:
    text = _short(left)
    hole = f"${{{{ {inside} }}}}"
    return f"{text} is not filled in; write {hole}, or ${{{{ {text} }}}} where the text itself is meant"


def _inside(found: re.Match[str]) -> str:
    inside = next((text for text in found.groups() if text), "x")
    return " ".join(inside.split())[:_SHOWN] or "x"


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}...")
