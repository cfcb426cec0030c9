"""Whether compensations can read what the calls that they undo return."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from ..saga.spec.catalog import AgentEntry, Catalog, ToolEntry
from ..saga.undo import Undo
from .function import Function
from .json_readability import Reader, WrittenSchema
from .round_trip import writes_more


def undo_faults(catalog: Catalog, functions: Mapping[str, Function]) -> Iterator[str]:
    """Yields a fault for each tool and agent whose undo can never read what it returns.

    Only what certainly fails is a fault: types whose validators take other forms, and unions of which one
    member fits, are left to the call.
    """
    entries: list[tuple[str, ToolEntry | AgentEntry]] = [
        *(("tool", tool) for tool in catalog.tools.values()),
        *(("agent", agent) for agent in catalog.agents.values()),
    ]
    for kind, entry in entries:
        undo = functions.get(entry.compensate or "")
        if undo is None or entry.compensate not in catalog.compensations:
            continue
        told = f"{kind} {entry.name}: its compensation {entry.compensate}"
        yield from _faults(told, undo, "output", "it returns", entry, functions)
        before = catalog.tools.get(getattr(entry, "before", None) or "")
        if before is not None:
            yield from _faults(told, undo, "before", f"{before.name} returns", before, functions)


def _faults(
    told: str,
    undo: Function,
    field: str,
    returns: str,
    entry: ToolEntry | AgentEntry,
    functions: Mapping[str, Function],
) -> Iterator[str]:
    wanted = _type_of(undo, field)
    if wanted is Any:
        return
    made = functions.get(entry.name)
    if made is not None and made.result in (Any, wanted, *typing.get_args(wanted)):
        return
    schema, closed = entry.output_schema, False
    if made is not None:
        schema = made.returns.json_schema(mode="serialization", schema_generator=WrittenSchema)
        closed = not writes_more(made.returns.core_schema)
    if Reader.of(TypeAdapter(wanted)).never_reads(schema, closed=closed):
        shown = _shown(made.result) if made else schema.get("title") or schema.get("type") or "another type"
        yield f"{told} reads {_shown(wanted)} as {field}, and {returns} {shown}; give both the same type"


def _type_of(undo: Function, field: str) -> Any:
    """Returns the type of a field of the `Undo` that a compensation takes."""
    hint = undo.hints[undo.parameters[0]]
    if not inspect.isclass(hint) or not issubclass(hint, Undo):
        return Any
    type_ = hint.model_fields[field].annotation
    return Any if type_ is Any or Any in typing.get_args(type_) or _is_variable(type_) else type_


def _is_variable(type_: Any) -> bool:
    return any(isinstance(part, typing.TypeVar) for part in (type_, *typing.get_args(type_)))


def _shown(type_: Any) -> str:
    parts = [part for part in typing.get_args(type_) if part is not type(None)]
    inner = parts[0] if len(parts) == 1 and type(None) in typing.get_args(type_) else type_
    return inner.__qualname__ if inspect.isclass(inner) and not typing.get_args(inner) else str(inner)
