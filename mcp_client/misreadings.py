"""What the expressions of a tool's mapping read that the server's schemas do not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..saga.errors import ExpressionError
from ..saga.expressions.expression import Path, compile_expression
from ..saga.expressions.template import expressions
from ..saga.spec.references import misread
from .listing import ForeignTool
from .tool_mapping import ToolMapping


def misreadings(
    mapping: ToolMapping, tool: ForeignTool, arguments: Mapping[str, Any], before: ForeignTool | None
) -> Iterator[str]:
    """Yields what a `before` or an `undo` would be the first to fail over, when it is needed.

    Args:
        mapping: What is said of the tool.
        tool: The tool.
        arguments: JSON Schema of the arguments that a caller gives.
        before: The tool that reads what there is before a call; None where nothing does.
    """
    known = {
        "arguments": (arguments, f"the input of {tool.name}"),
        "output": (tool.result_schema, f"the output of {tool.name}"),
    }
    if before is not None:
        known |= dict.fromkeys(("before", "now"), (before.result_schema, f"the output of {before.name}"))
    for where, source in _sources(mapping):
        for path in dict.fromkeys(_paths(source)):
            schema, owner = known.get(path.root, ({}, ""))
            if path.parts and schema.get("type") == "string":
                yield f"{where}: {path}: {owner} is text, and has no {path.parts[0]!r}"
            elif fault := misread(path, schema, 0, owner):
                yield f"{where}: {fault}"


def _sources(mapping: ToolMapping) -> Iterator[tuple[str, str]]:
    if mapping.before is not None:
        yield from expressions(mapping.before.input or {}, "before.input")
    if mapping.undo is not None:
        yield from expressions(mapping.undo.input, "undo.input")
        if mapping.undo.when is not None:
            yield "undo.when", mapping.undo.when


def _paths(source: str) -> tuple[Path, ...]:
    try:
        return compile_expression(source).paths
    except ExpressionError:
        return ()  # told when the mapping was read
