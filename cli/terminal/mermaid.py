"""Draws a task in the language Mermaid, which GitHub, editors and many wikis can show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from .task_picture import Node, TaskPicture

_SHAPES: Final = {
    "agent": ('(["', '"])'),
    "workflow": ('[["', '"]]'),
    "approve": ('{{"', '"}}'),
    "wait": ('(("', '"))'),
}
_BOX: Final = ('["', '"]')
_COLOURS: Final = {
    "pending": "fill:#f8f9fa,stroke:#adb5bd,color:#495057",
    "running": "fill:#d0ebff,stroke:#1971c2,color:#0b3d66",
    "waiting": "fill:#fff3bf,stroke:#f08c00,color:#5c3c00",
    "completed": "fill:#d3f9d8,stroke:#2f9e44,color:#12431f",
    "skipped": "fill:#f1f3f5,stroke:#868e96,color:#495057,stroke-dasharray:4 3",
    "failed": "fill:#ffe3e3,stroke:#e03131,color:#5f1010",
    "rejected": "fill:#ffe3e3,stroke:#e03131,color:#5f1010",
    "cancelled": "fill:#fff3bf,stroke:#f08c00,color:#5c3c00",
    "undone": "fill:#f3d9fa,stroke:#9c36b5,color:#460f52",
}
_LONGEST: Final = 80


def draw(picture: TaskPicture) -> str:
    """Writes a picture as a Mermaid flowchart.

    Args:
        picture: The picture of a task.

    Returns:
        The text of the flowchart. The steps of a started task carry their states as classes.
    """
    title = picture.task if picture.state is None else f"{picture.task} ({picture.state})"
    # The steps are numbered, because an id may be a word of the language, e.g. `end`.
    keys = {node.id: f"s{n}" for n, node in enumerate(_every(picture.steps), 1)}
    lines = ["---", f"title: {json.dumps(_short(title))}", "---", "flowchart TD"]
    lines += _shapes(picture.steps, keys, "  ")
    for node in _every(picture.steps):
        lines += [f"  {keys[need]} --> {keys[node.id]}" for need in node.needs if need in keys]
    for state, colours in _COLOURS.items():
        chosen = [keys[node.id] for node in _every(picture.steps) if node.state == state]
        if chosen:
            lines += [f"  classDef {state} {colours}", f"  class {','.join(chosen)} {state}"]
    return "\n".join(lines)


def _every(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _every(node.inside)


def _shapes(nodes: Sequence[Node], keys: dict[str, str], indent: str) -> Iterator[str]:
    for node in nodes:
        label = "<br/>".join(_escaped(_short(text)) for text in (node.id, node.by) if text)
        if node.inside:
            yield f'{indent}subgraph {keys[node.id]}["{label}"]'
            yield from _shapes(node.inside, keys, f"{indent}  ")
            yield f"{indent}end"
        else:
            begin, end = _SHAPES.get(node.kind, _BOX)
            yield f"{indent}{keys[node.id]}{begin}{label}{end}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _escaped(text: str) -> str:
    """Escapes every character that may mean something to Mermaid or HTML."""
    return "".join(c if c.isalnum() or c in " ._-,:/" else f"#{ord(c)};" for c in text)
