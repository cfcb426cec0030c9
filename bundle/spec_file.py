"""From YAML or JSON text to a `TaskSpec`, with every fault of the document at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..saga.errors import Fault, SpecError
from ..saga.spec import Step, TaskSpec

MAX_BYTES = 256 * 1024
"""The largest spec that is read: it has to fit into a workflow's history with room to spare."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that keeps to JSON: dates stay text, a key may stand only once, aliases are refused."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not part of a spec", self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is not text", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_spec(path: Path) -> TaskSpec:
    """Reads a spec from a file.

    Args:
        path: A YAML or JSON file (JSON is YAML).

    Returns:
        The spec; names of tools and agents are not looked up yet.

    Raises:
        SpecError: The file cannot be read, or the document has faults.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SpecError([Fault(str(path), f"cannot be read: {error.strerror or error}")]) from None
    if len(raw) > MAX_BYTES:
        raise SpecError([Fault(str(path), f"has {len(raw)} bytes; a spec has at most {MAX_BYTES}")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SpecError([Fault(str(path), "is not UTF-8 text; a spec is YAML or JSON")]) from None
    return parse_spec(read_document(text, str(path)))


def read_document(text: str, source: str) -> Any:
    """Reads one YAML or JSON document; raises SpecError that names `source`, line and column."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        raise SpecError([Fault(where, f"is not YAML: {error.problem or error.context}")]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).split("\n")[0]
        raise SpecError([Fault(source, f"is not YAML: {reason}")]) from None


def parse_spec(document: Any) -> TaskSpec:
    """Turns a document into a spec.

    Args:
        document: What YAML or JSON gave.

    Returns:
        The spec; names of tools and agents are not looked up yet.

    Raises:
        SpecError: With every fault of the document, each with its path.
    """
    if not isinstance(document, Mapping):
        raise SpecError([Fault("", f"a spec is a mapping with name and steps, not {_kind(document)}")])
    try:
        return TaskSpec.model_validate(document)
    except ValidationError as error:
        raise SpecError(_faults(error.errors(include_url=False), document)) from None


def _faults(errors: Sequence[ErrorDetails], document: Any) -> list[Fault]:
    faults: dict[str, Fault] = {}
    for error in errors:
        if error["type"] == "too_short" and error["input"]:
            continue  # pydantic counts only the items that are good, and has named the bad ones
        path, parent_keys = _locate(error["loc"], document)
        faults.setdefault(path, Fault(path, _message(error, parent_keys)))
    return list(faults.values())


def _locate(loc: tuple[int | str, ...], document: Any) -> tuple[str, set[str]]:
    """Follows pydantic's location through the document; its names of union members are not part of it."""
    path = ""
    value = document
    for depth, part in enumerate(loc):
        last = depth == len(loc) - 1
        if isinstance(value, Mapping):
            if part in value or last:
                path = f"{path}.{part}" if path else str(part)
                value = value.get(part)
        elif isinstance(value, list | tuple) and isinstance(part, int):
            path = f"{path}[{part}]"
            value = value[part] if part < len(value) else None
    return path, set(_known_keys(path))


def _known_keys(path: str) -> list[str]:
    model = Step if "steps[" in path else TaskSpec
    return [field.alias or name for name, field in model.model_fields.items()]


def _message(error: ErrorDetails, known: set[str]) -> str:
    name = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(name, sorted(known), n=1)
            return f"there is no key {name!r} here" + (f"; did you mean {near[0]!r}?" if near else "")
        case "missing":
            return f"{name!r} is missing"
        case "string_pattern_mismatch":
            return f"{error['input']!r} must match {error['ctx']['pattern']}"
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
        case "literal_error" if _is_trouble(error):
            return f"{error['input']!r} is none of rollback, skip and {{fallback: AGENT}}"
        case "literal_error":
            return f"{error['input']!r} is not one of {error['ctx']['expected']}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must be a mapping, not {_kind(error['input'])}"
        case "too_short":
            return "must have at least one item"
        case "tuple_type":
            return f"must be a list, not {_kind(error['input'])}"
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}, not {_short(error['input'])}"


def _is_trouble(error: ErrorDetails) -> bool:
    return any(str(part) in ("on_failure", "on_reject") for part in error["loc"])


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", int: "a number", float: "a number", bool: "true/false"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
