"""Writes what the code knows best into pages, where they have ``<!-- generate: NAME -->``."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, get_args

import griffe
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel
from typer.cli import get_docs_for_click

from counterstep.bundle import registry, spec_file, yaml_document
from counterstep.cli.app import app
from counterstep.client.board import Board
from counterstep.client.decisions import TaskDecision
from counterstep.client.outcome import Outcome
from counterstep.client.team_decisions import TeamDecision
from counterstep.saga.agents import agent_loop
from counterstep.saga.engine import amendments, events
from counterstep.saga.errors import FailureType
from counterstep.saga.expressions import cost_limits, effort, expression
from counterstep.saga.limits import history_size, loop_guard, payload_size
from counterstep.saga.plans import plan_faults
from counterstep.saga.record import task_log
from counterstep.saga.record.task_result import TaskResult
from counterstep.saga.spec import catalog
from counterstep.saga.spec.fields import STEP_ID
from counterstep.saga.spec.rules import team_rules
from counterstep.saga.spec.task_spec import TaskSpec
from counterstep.saga.spec.teams.handoff import Handoff
from counterstep.saga.spec.teams.intent import Intent
from counterstep.saga.spec.teams.pattern import Pattern
from counterstep.saga.spec.teams.router import Route
from counterstep.saga.spec.teams.team import Team
from counterstep.saga.teams.long import long_teams
from counterstep.saga.temporal import gate, load

_MARK: Final = re.compile(r"<!-- generate: (\w+) -->")
_DURATION: Final = "(ms|s|m|h|d)"

_PATTERNS: Final[tuple[type[Pattern], ...]] = get_args(get_args(Team)[0])

Schema = Mapping[str, Any]


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Puts what its generator writes in place of each mark."""

    def generated(mark: re.Match[str]) -> str:
        if mark[1] not in GENERATORS:
            raise PluginError(f"{page.file.src_uri}: nothing generates {mark[1]!r}")
        return GENERATORS[mark[1]]()

    return _MARK.sub(generated, markdown)


# --- models: one section with a table of its fields for each


def sections(schema: Schema) -> str:
    """Writes a section for a model, and one for each model inside of it."""
    definitions: Mapping[str, Schema] = schema.get("$defs", {})
    models = [schema, *(model for model in definitions.values() if "properties" in model)]
    return "\n".join(line for model in models for line in _section(model, definitions))


def section(schema: Schema) -> str:
    """Writes a section for a model whose parts have theirs elsewhere on the page."""
    return "\n".join(_section(schema, schema.get("$defs", {})))


def _section(model: Schema, definitions: Mapping[str, Schema]) -> Iterator[str]:
    yield f"## {model['title']} {{ #{model['title'].lower()} }}\n\n{_docstring(model['description'])[0]}\n"
    yield from _fields(model, definitions)
    yield ""


def _fields(model: Schema, definitions: Mapping[str, Schema]) -> Iterator[str]:
    shared = (
        _docstring(inspect.cleandoc(Pattern.__doc__ or ""))[1] if "pattern" in model["properties"] else {}
    )
    described = {**shared, **_docstring(model["description"])[1]}
    yield "| key | value | default | |\n|---|---|---|---|"
    for name, field in model["properties"].items():
        default = "required" if name in model.get("required", ()) else _default(field)
        meaning = described.get(name) or described.get(f"{name}_", "")
        yield f"| `{name}` | {_kind(field, definitions)} | {default} | {meaning} |"


def parameters(model: type[BaseModel]) -> str:
    """Writes a table of the fields of one model, for a page of its own."""
    schema = model.model_json_schema(by_alias=True)
    table = "\n".join(_fields(schema, schema.get("$defs", {})))
    return table.replace("](#", "](../reference/spec.md#")


def _docstring(text: str) -> tuple[str, Mapping[str, str]]:
    """Takes a docstring apart: its text, and what it says of each attribute."""
    said, described = [], {}
    for section in griffe.parse_google(griffe.Docstring(text), warnings=False):
        if isinstance(section, griffe.DocstringSectionText):
            said.append(section.value)
        elif isinstance(section, griffe.DocstringSectionAttributes):
            described = {item.name: " ".join(item.description.split()) for item in section.value}
    return "\n\n".join(said), described


def _kind(field: Schema, definitions: Mapping[str, Schema]) -> str:
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        if "properties" in definitions[name]:
            return f"[{name}](#{name.lower()})"
        return _kind(definitions[name], {})
    branches = field.get("anyOf") or field.get("oneOf")
    if branches:
        kinds = [_kind(branch, definitions) for branch in branches if branch.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    return _simple_kind(field, definitions)


def _simple_kind(field: Schema, definitions: Mapping[str, Schema]) -> str:
    inner = field.get("items") or field.get("additionalProperties")
    of = _kind(inner, definitions) if isinstance(inner, Mapping) and inner else "anything"
    match field.get("type"):
        case "array":
            return f"list of {of}"
        case "object":
            return f"mapping to {of}"
        case "boolean":
            return "true or false"
        case "string" if field.get("pattern") == STEP_ID:
            return "id"
        case "string" if _DURATION in field.get("pattern", ""):
            return "duration"
        case "string":
            return "time" if field.get("format") == "date-time" else "text"
        case None:
            return "anything"
    limits = (("minimum", "at least"), ("exclusiveMinimum", "more than"), ("maximum", "at most"))
    said = [f"{words} {field[key]:g}" for key, words in limits if key in field]
    return ", ".join([str(field["type"]), *said])


def _default(field: Schema) -> str:
    value = field.get("default")
    if value in (None, "", [], {}) or (isinstance(value, Mapping) and set(value.values()) == {None}):
        return ""
    if _DURATION in str(field.get("pattern")):
        return f"`{value}`"
    return f"`{json.dumps(value)}`"


# --- what failures are called


def failure_table() -> str:
    """Writes one row for each type of failure."""
    loaded = griffe.load("counterstep.saga.errors", search_paths=[".counterstep/api"])
    members = loaded["FailureType"].members
    rows = [f"| `{type_}` | {_sentence(members[type_.name])} |" for type_ in FailureType]
    return "\n".join(["| type | |", "|---|---|", *rows])


def _sentence(member: griffe.Object | griffe.Alias) -> str:
    if member.docstring is None:
        raise PluginError(f"{member.path} has no docstring")
    return " ".join(member.docstring.value.split())


# --- sizes


def limit_table() -> str:
    """Writes one row for each bound that a user may meet."""
    payload, spec = _size(payload_size.MAX_PAYLOAD), _size(spec_file.MAX_BYTES)
    repeats = f'{loop_guard.TIMES - 1} of {loop_guard.WINDOW} calls, unless its tool says `repeats="allow"`'
    rows = {
        "an argument, a result, an output; input and output together, where there is an undo": payload,
        "a spec": f"{spec}, {spec_file.MAX_STEPS:,} steps, {yaml_document.MAX_DEPTH} levels",
        "an expression": f"{expression.MAX_LENGTH:,} characters",
        "items that the loops of an expression visit": f"{cost_limits.MAX_ITEMS:,}",
        "what an expression copies of the values it reads": _size(cost_limits.MAX_COPIED),
        "one evaluation of an expression": f"{effort.MOST / 1_000_000:g} s, estimated from its values",
        "items of a `for_each`": f"{load.MAX_ITEMS:,}",
        "items of a plan with an order (`after`)": f"{plan_faults.MOST_ORDERED:,}",
        "side by side in one task": f"{gate.SIDE_BY_SIDE} calls, as many undos and children; others wait",
        "tools of one agent": f"{registry.MAX_TOOLS}, unless it says `many_tools=True`",
        "tool calls in one turn of an agent": f"{catalog.CALLS_PER_TURN}, or its `max_calls_per_turn`",
        "the same call of an agent while nothing changes": repeats,
        "corrections of an agent": f"{agent_loop.MAX_CORRECTIONS}",
        "turns before a conversation goes on in a child": f"{agent_loop.MAX_TURNS}",
        "a conversation": _size(agent_loop.MAX_CONVERSATION),
        "turns of a team before it goes on in a child": f"{long_teams.MAX_TURNS}, {_size(long_teams.LONG)}",
        "agents and teams inside of each other": f"{team_rules.MAX_DEPTH}",
        "facts of a task": _size(amendments.MAX_FACTS),
        "events that no step has waited for yet": f"{events.MAX_EVENTS:,}, {_size(events.MAX_BYTES)}",
        "lines of the log": f"{task_log.MAX_LOG:,}; the oldest go first",
        "history before a task continues as new": _both(history_size.LONG_EVENTS, history_size.LONG_BYTES),
        "history before only undos still run": _both(history_size.FULL_EVENTS, history_size.FULL_BYTES),
    }
    return "\n".join(
        ["| what | at most |", "|---|---|", *(f"| {what} | {most} |" for what, most in rows.items())]
    )


def _both(events: int, size: int) -> str:
    return f"{events:,} events or {_size(size)}"


def _size(count: int) -> str:
    """Writes a number of bytes."""
    return f"{count // 1_000_000} MB" if count % 1_000_000 == 0 else f"{count / 1000:g} KB"


# --- the command line


def commands() -> str:
    """Writes a section for each command."""
    program = typer.main.get_command(app)
    context = typer.Context(program, info_name="counterstep")
    return "\n".join(
        get_docs_for_click(obj=command, ctx=context, indent=1, name=f"counterstep {name}")
        for name, command in sorted(program.commands.items())  # type: ignore[attr-defined]
    )


GENERATORS: Final[Mapping[str, Callable[[], str]]] = {
    "spec": lambda: sections(TaskSpec.model_json_schema(by_alias=True)),
    "board": lambda: sections(Board.model_json_schema(mode="serialization")),
    "result": lambda: sections(TaskResult.model_json_schema(mode="serialization")),
    "outcome": lambda: sections(Outcome.model_json_schema(mode="serialization")),
    "decisions": lambda: sections(TeamDecision.model_json_schema(mode="serialization")),
    "other_decisions": lambda: section(TaskDecision.model_json_schema(mode="serialization")),
    "failures": failure_table,
    "limits": limit_table,
    "commands": commands,
    "handoff": partial(parameters, Handoff),
    "route": partial(parameters, Route),
    "intent": partial(parameters, Intent),
    **{model.model_fields["pattern"].default: partial(parameters, model) for model in _PATTERNS},
}
