"""Where the parts of a YAML or JSON document stand in its text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from ..saga.errors import Fault
from ..saga.spec.json_schema import join

_LAST_INDEX = re.compile(r"\[\d+\]$")


def positions_of(text: str) -> Mapping[str, tuple[int, int]]:
    """Finds the parts of a document.

    Args:
        text: YAML or JSON.

    Returns:
        Line and column, counted from 1, of each part by its path, e.g. ``steps[2].input.sku``; of what
        is under a key, those of the key. Empty where the text cannot be read.
    """
    # JSON may be indented with tabs, which YAML refuses; columns stay the same.
    text = text.replace("\t", " ") if text.lstrip()[:1] == "{" else text
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    found: dict[str, tuple[int, int]] = {}
    waiting: list[tuple[yaml.Node | None, str]] = [(root, "")]
    while waiting:
        node, path = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here = join(path, [str(key.value)])
                found[here] = (key.start_mark.line + 1, key.start_mark.column + 1)
                waiting.append((value, here))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                here = join(path, [index])
                found[here] = (item.start_mark.line + 1, item.start_mark.column + 1)
                waiting.append((item, here))
    return found


def located(faults: Iterable[Fault], text: str) -> list[Fault]:
    """Adds line and column to the faults of a document: those of the nearest part that is there.

    Args:
        faults: The faults, with paths in the document.
        text: The document.
    """
    positions = positions_of(text)
    return [_located(fault, positions) for fault in faults]


def located_in_file(faults: Iterable[Fault], path: Path) -> list[Fault]:
    """Adds line and column as `located` does; leaves the faults as they are where the file cannot be read."""
    try:
        return located(faults, path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        return list(faults)


def _located(fault: Fault, positions: Mapping[str, tuple[int, int]]) -> Fault:
    path = fault.path
    while path and path not in positions:
        index = _LAST_INDEX.search(path)
        path = path[: index.start()] if index is not None else path.rpartition(".")[0]
    if fault.line is not None or path not in positions:
        return fault
    line, column = positions[path]
    return replace(fault, line=line, column=column)
