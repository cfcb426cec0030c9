"""Draws a task in the language Mermaid, which GitHub, editors and many wikis can show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from .task_picture import Node, TaskPicture

_SHAPES: Final = {
    "agent": ('(["', '"])'),
    "team": ('(["', '"])'),
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
    named = dict(_every(picture.steps))
    # The steps are numbered, because an id may be a word of the language, e.g. `end`.
    keys = {name: f"s{n}" for n, name in enumerate(named, 1)}
    lines = ["---", f"title: {json.dumps(_short(title))}", "---", "flowchart TD"]
    lines += _shapes(picture.steps, keys, "  ", "")
    for name, node in named.items():
        lines += [f"  {keys[need]} --> {keys[name]}" for need in node.needs if need in keys]
        lines += _arrows(name, node, keys)
    for state, colours in _COLOURS.items():
        chosen = [keys[name] for name, node in named.items() if node.state == state]
        if chosen:
            lines += [f"  classDef {state} {colours}", f"  class {','.join(chosen)} {state}"]
    return "\n".join(lines)


def _every(nodes: Iterable[Node], within: str = "") -> Iterator[tuple[str, Node]]:
    """Yields all nodes, steps by their ids and members by those around them: many may have the same name."""
    for node in nodes:
        name = f"{within}{node.id}"
        yield name, node
        yield from _every(node.inside)
        yield from _every(node.members, f"{name} > ")


def _arrows(name: str, node: Node, keys: Mapping[str, str]) -> Iterator[str]:
    for link in node.links:
        line = f"{'<' * link.both}{'-.->' if link.maybe else '-->'}"
        label = f'|"{_escaped(link.label)}"|' if link.label else ""
        source, target = (keys[f"{name} > {end}"] for end in (link.source, link.target))
        yield f"  {source} {line}{label} {target}"


def _shapes(nodes: Sequence[Node], keys: Mapping[str, str], indent: str, within: str) -> Iterator[str]:
    for node in nodes:
        name = f"{within}{node.id}"
        label = "<br/>".join(_escaped(_short(text)) for text in (node.id, node.by) if text)
        if node.inside or node.members:
            yield f'{indent}subgraph {keys[name]}["{label}"]'
            yield from _shapes(node.inside, keys, f"{indent}  ", "")
            yield from _shapes(node.members, keys, f"{indent}  ", f"{name} > ")
            yield f"{indent}end"
        else:
            begin, end = _SHAPES.get(node.kind, _BOX)
            yield f"{indent}{keys[name]}{begin}{label}{end}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _escaped(text: str) -> str:
    """Escapes every character that may mean something to Mermaid or HTML."""
    return "".join(c if c.isalnum() or c in " ._-,:/" else f"#{ord(c)};" for c in text)
