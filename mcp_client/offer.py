"""What MCP servers offer to tasks: their tools with effects and undos, and why others are not offered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from ..saga.effect import Effect
from ..saga.names import nearest
from ..saga.spec.catalog import CompensationEntry, ToolEntry
from ..saga.spec.json_schema import check_schema
from .listing import ForeignTool, Listing
from .mcp_server import McpServer
from .misreadings import misreadings
from .safe_schema import MOST_PARTS, is_endless
from .tool_mapping import ToolMapping, UndoMapping

NO_MAPPING = (
    "the server does not annotate it as read-only, and McpServer(tools=...) has neither an undo for it "
    "nor an effect together with an approval"
)
_LONGEST_NAME = 100
_SHOWN = 20
_RESOURCE: dict[str, Any] = {"type": "object", "properties": {"uri": {"type": "string"}}, "required": ["uri"]}
_PROMPT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "arguments": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["name"],
}


@dataclass(frozen=True)
class ForeignCall:
    """A call that goes to an MCP server.

    Attributes:
        server: Where it goes.
        kind: What is called: a tool, a tool that is read ``before`` another, a resource or a prompt.
        entry: What the catalog says of it.
        tool: The tool as the server described it when the worker started; None for resources and prompts.
        mapping: What is said of the tool, or of the one that it is read before.
    """

    server: McpServer
    kind: Literal["tool", "before", "resource", "prompt"]
    entry: ToolEntry
    tool: ForeignTool | None = None
    mapping: ToolMapping = field(default_factory=ToolMapping)

    @property
    def is_repeatable(self) -> bool:
        """Whether a call may be made again whose outcome is unknown."""
        return self.entry.idempotent or self.entry.effect in (Effect.READ_ONLY, Effect.RETRIABLE)


@dataclass(frozen=True)
class ForeignUndo:
    """The undo of a call of an MCP server.

    Attributes:
        server: Where the call went.
        undo: How it is undone.
        tool: The tool that undoes it, as the server described it when the worker started.
        before: What reads the state before a call, and the state now; None where nothing does.
    """

    server: McpServer
    undo: UndoMapping
    tool: ForeignTool
    before: ForeignCall | None = None


@dataclass
class McpOffer:
    """What all servers of a worker offer together.

    Attributes:
        servers: The servers.
        tools: Tool entries by full name.
        compensations: Compensation entries by full name.
        calls: How each of the tools is called.
        undos: How each of the compensations is run.
        not_offered: Why other tools are not offered, by full name.
        faults: What is wrong with the declarations, or with the servers.
    """

    servers: tuple[McpServer, ...] = ()
    tools: dict[str, ToolEntry] = field(default_factory=dict)
    compensations: dict[str, CompensationEntry] = field(default_factory=dict)
    calls: dict[str, ForeignCall] = field(default_factory=dict)
    undos: dict[str, ForeignUndo] = field(default_factory=dict)
    not_offered: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def secrets(self) -> list[str]:
        """What the servers take from the environment, and must not be shown to anybody."""
        return [secret for server in self.servers for secret in server.secrets]


def offer_of(servers: Sequence[McpServer], answers: Mapping[str, Listing | str]) -> McpOffer:
    """Joins what is said of the servers' tools with what the servers have answered, see `ask_servers`."""
    offer = McpOffer(servers=tuple(servers))
    for name, listing in answers.items():
        server = next(server for server in servers if server.name == name)
        if isinstance(listing, str):
            offer.faults.append(f"MCP server {name}: {listing}")
        else:
            _ServerOffer(server, listing, offer).add()
    return offer


class _ServerOffer:
    """Adds what one server offers."""

    def __init__(self, server: McpServer, listing: Listing, offer: McpOffer) -> None:
        self._server = server
        self._tools = listing.tools
        self._written = Counter(_written(name) for name in listing.tools)
        self._listing = listing
        self._offer = offer

    def add(self) -> None:
        for name in self._server.tools:
            if name not in self._tools:
                self._fault(f"there is no tool {name!r}{nearest(name, self._tools)}")
        for tool in self._tools.values():
            mapping = self._server.tools.get(tool.name)
            reason = self._reason(tool, mapping)
            if reason:
                alike = self._written[_written(tool.name)] > 1
                name = f"{self._server.name}.{tool.name}" if alike else self._name(tool.name)
                self._offer.not_offered[name] = reason
                continue
            faults = [] if mapping is None else [*self._contradictions(tool, mapping)]
            for fault in faults:
                self._fault(f"tool {tool.name}: {fault}")
            if not faults:
                self._add_tool(tool, mapping or ToolMapping(effect=Effect.READ_ONLY))
        self._add_reading()
        for name in self._offer.undos:
            if name in self._offer.tools:
                self._fault(f"one of its tools and the undo of another would both be named {name}")

    def _fault(self, text: str) -> None:
        self._offer.faults.append(f"MCP server {self._server.name}: {text}")

    def _name(self, tool: str) -> str:
        return f"{self._server.name}.{_written(tool)}"

    def _reason(self, tool: ForeignTool, mapping: ToolMapping | None) -> str:
        name = self._name(tool.name)
        if tool.is_twofold:
            return "the server lists two different tools by this name"
        if not re.search(r"[A-Za-z0-9]", tool.name):
            return "its name has no letters or digits (A-Z, a-z, 0-9)"
        if self._written[_written(tool.name)] > 1 and _written(tool.name) != tool.name:
            return f"another tool of the server would be named {name} as well"
        if name in self._offer.tools:
            return f"the undo of another tool reads what there was before by the name {name}"
        if len(name) > _LONGEST_NAME:
            return f"its name has more than {_LONGEST_NAME} letters"
        faults = check_schema(tool.input_schema, "its input schema")
        faults += [] if tool.output_schema is None else check_schema(tool.output_schema, "its output schema")
        if faults:
            return str(faults[0])
        for what, schema in (("input", tool.input_schema), ("output", tool.output_schema or {})):
            if is_endless(schema):
                return f"its {what} schema has more than {MOST_PARTS} parts that one value is held against"
        if mapping is None:
            return "" if tool.read_only else NO_MAPPING
        said = tool.read_only or mapping.undo is not None or mapping.effect is Effect.READ_ONLY
        if not said and mapping.effect is None:
            return NO_MAPPING
        if not said and mapping.approval is None:
            return f"nothing undoes it, and with the effect {mapping.effect} it needs an approval"
        return ""

    def _contradictions(self, tool: ForeignTool, mapping: ToolMapping) -> Iterator[str]:
        effect = mapping.effect or (Effect.COMPENSATABLE if mapping.undo is not None else None)
        if tool.read_only and effect not in (None, Effect.READ_ONLY):
            yield f"it is annotated as read-only, and its entry says that it is {effect}; one is wrong"
        if tool.read_only is False and effect is Effect.READ_ONLY:
            yield "its entry says that it is read_only, and the server annotates that it is not; one is wrong"
        if mapping.key is not None and mapping.key not in tool.input_schema.get("properties", {}):
            known = tool.input_schema.get("properties", {})
            yield f"key: it has no argument {mapping.key!r}{nearest(mapping.key, known)}"
        if mapping.before is not None:
            yield from self._named(mapping.before.tool, "before", mapping.before.input, reads=True)
        if mapping.undo is not None:
            yield from self._named(mapping.undo.tool, "undo", mapping.undo.input, reads=False)
        before = None if mapping.before is None else self._tools.get(mapping.before.tool)
        yield from misreadings(mapping, tool, _without(tool.input_schema, mapping.key), before)

    def _named(self, name: str, what: str, given: Mapping[str, Any] | None, *, reads: bool) -> Iterator[str]:
        """Yields what is wrong with a tool that another one names, and with its arguments."""
        tool = self._tools.get(name)
        if tool is None:
            yield f"{what}: there is no tool {name!r}{nearest(name, self._tools)}"
            return
        said = self._server.tools.get(name)
        only_reads = tool.read_only or (said is not None and said.effect is Effect.READ_ONLY)
        if reads and not only_reads:
            yield f"{what}: {name} does not only read, as far as the server and its entry in tools say"
        if not reads and only_reads:
            yield f"{what}: {name} only reads, so it undoes nothing"
        if given is None:
            return
        properties = tool.input_schema.get("properties", {})
        for missing in tool.input_schema.get("required", ()):
            if missing not in given:
                yield f"{what}.input: {name} needs {missing!r}"
        for extra in given:
            if properties and extra not in properties:
                yield f"{what}.input: {name} has no argument {extra!r}{nearest(extra, properties)}"

    def _add_tool(self, tool: ForeignTool, mapping: ToolMapping) -> None:
        name = self._name(tool.name)
        schema = _without(tool.input_schema, mapping.key)
        undone = mapping.undo is not None
        before = None
        if mapping.before is not None:
            before = self._before(f"{name}_before", schema, mapping)
        entry = ToolEntry(
            name=name,
            description=tool.description,
            effect=mapping.effect or (Effect.COMPENSATABLE if undone else Effect.READ_ONLY),
            compensate=f"{name}_undo" if undone else None,
            before=before.entry.name if before is not None else None,
            idempotent=mapping.idempotent,
            timeout=mapping.timeout,
            approval=mapping.approval,
            repeats=mapping.repeats,
            parameters=tuple(schema.get("properties", {})),
            input_schema=schema,
            output_schema=tool.result_schema,
        )
        self._add_call(ForeignCall(self._server, "tool", entry, tool, mapping))
        if mapping.undo is not None:
            self._add_undo(entry, mapping.undo, before, mapping.timeout)

    def _add_call(self, call: ForeignCall) -> None:
        if call.entry.name in self._offer.tools:
            self._fault(f"two of its tools would be named {call.entry.name}")
        self._offer.tools[call.entry.name] = call.entry
        self._offer.calls[call.entry.name] = call

    def _before(self, name: str, schema: Mapping[str, Any], mapping: ToolMapping) -> ForeignCall:
        assert mapping.before is not None
        tool = self._tools[mapping.before.tool]
        entry = ToolEntry(
            name=name,
            description=f"What {tool.name} says before a call.",
            effect=Effect.READ_ONLY,
            timeout=mapping.timeout,
            parameters=tuple(schema.get("properties", {})),
            input_schema=dict(schema),
            output_schema=tool.result_schema if mapping.before.on_error == "fail" else {},
        )
        call = ForeignCall(self._server, "before", entry, tool, mapping)
        self._add_call(call)
        return call

    def _add_undo(
        self, entry: ToolEntry, undo: UndoMapping, before: ForeignCall | None, timeout: timedelta | None
    ) -> None:
        assert entry.compensate is not None
        description = f"Undoes {entry.name} by {undo.tool}."
        self._offer.compensations[entry.compensate] = CompensationEntry(
            name=entry.compensate, description=description, timeout=timeout, retry=undo.retry
        )
        self._offer.undos[entry.compensate] = ForeignUndo(self._server, undo, self._tools[undo.tool], before)

    def _add_reading(self) -> None:
        """Adds what reads resources and prompts, where the server has any."""
        self._add_texts("resource", self._listing.resources, "Reads a resource by its address", _RESOURCE)
        self._add_texts("prompt", self._listing.prompts, "Gets a prompt by its name", _PROMPT)

    def _add_texts(
        self,
        kind: Literal["resource", "prompt"],
        known: Sequence[str] | None,
        what: str,
        schema: dict[str, Any],
    ) -> None:
        name = f"{self._server.name}.{'read_resource' if kind == 'resource' else 'get_prompt'}"
        if known is None or name in self._offer.tools or name in self._offer.not_offered:
            return  # a tool of this name goes first
        some = f": {', '.join(known[:_SHOWN])}" if known else ""
        entry = ToolEntry(
            name=name,
            description=f"{what}{some}."[:1000],
            effect=Effect.READ_ONLY,
            parameters=tuple(schema["properties"]),
            input_schema=schema,
            output_schema={"type": "object"},
        )
        self._add_call(ForeignCall(self._server, kind, entry))


def _written(name: str) -> str:
    """Returns a tool's name with the letters that names of ours have."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def _without(schema: Mapping[str, Any], key: str | None) -> dict[str, Any]:
    """Returns the schema of the arguments that a caller gives: all but the one that gets the key."""
    if key is None:
        return dict(schema)
    properties = {name: part for name, part in schema.get("properties", {}).items() if name != key}
    required = [name for name in schema.get("required", ()) if name != key]
    return {**schema, "properties": properties, "required": required}
