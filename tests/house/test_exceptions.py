"""Every exception of the package is in the tree that `saga/errors.py` draws, where it is drawn."""

from __future__ import annotations

import ast
import builtins
import importlib
import re

from counterstep.saga import errors
from counterstep.tests.support.sources.sources import ROOT, nodes, package_sources

ELSEWHERE = {"CallFailed", "Untraced"}
"""Workflows have to raise one of Temporal's; the text below the tree tells of it."""


def defined() -> dict[str, str]:
    """The public exception classes of the package, each with its module."""
    bases: dict[str, tuple[list[str], str]] = {}
    for path in package_sources():
        parts = path.relative_to(ROOT).with_suffix("").parts
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                names = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                bases[node.name] = (names, ".".join(("counterstep", *parts)))

    def is_exception(name: str) -> bool:
        known = getattr(builtins, name, None)
        if isinstance(known, type) and issubclass(known, BaseException):
            return True
        return name in ("ApplicationError", "ConstructorError") or any(
            map(is_exception, bases.get(name, ([], ""))[0])
        )

    return {
        name: module for name, (_, module) in bases.items() if not name.startswith("_") and is_exception(name)
    }


def drawn() -> dict[str, str]:
    """The exceptions of the drawing, each with the one that it hangs from."""
    found: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    (?P<lines>[│├└─ ]*)(?P<name>[A-Z]\w+)(\s|$)", line)
        if match is None:
            continue
        depth = len(match["lines"]) // 4
        above[depth] = match["name"]
        if depth:
            found[match["name"]] = above[depth - 1]
    return found


def test_every_exception_is_drawn() -> None:
    assert defined().keys() - ELSEWHERE - {"CounterstepError"} == drawn().keys()


def test_every_exception_hangs_where_it_is_drawn() -> None:
    modules = defined()
    for name, parent in drawn().items():
        exception = getattr(importlib.import_module(modules[name]), name)
        assert [base.__name__ for base in exception.__bases__] == [parent]
