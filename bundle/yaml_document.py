"""Reads YAML and JSON text into JSON values only."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ..saga.errors import Fault, SpecError
from ..saga.limits.payload_size import MAX_PAYLOAD
from ..saga.spec.json_schema import join

MAX_BYTES = 256 * 1024
"""The largest file that is read: a spec has to fit into a workflow's history with room to spare."""

MAX_DEPTH = 50
"""Levels of lists and mappings in a document."""

_MOST_DIGITS = 400
_LONGEST_REASON = 200
_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    # As JSON and YAML 1.2 have them, so that NO, 12:30, 1_000, 0123 and 2026-01-01 stay the text they are.
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    "float": (r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", list("-+0123456789")),
}


class _Refused(yaml.constructor.ConstructorError):
    """Raised for good YAML that JSON cannot express."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(None, None, problem, mark)


class _Loader(yaml.SafeLoader):
    """Loads YAML that keeps to JSON: no other types, only text as keys, each key once, and no aliases."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _Refused("aliases (*name) are not allowed", mark)
        return super().compose_node(parent, index)

    def object_of(self, node: yaml.MappingNode) -> Iterator[dict[str, Any]]:
        found: dict[str, Any] = {}
        yield found
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _Refused(f"the key {key!r} is not text; write it in quotes", key_node.start_mark)
            if key in found:
                raise _Refused(f"the key {key!r} stands here twice", key_node.start_mark)
            found[key] = self.construct_object(value_node, deep=True)

    def whole_number_of(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > _MOST_DIGITS:
            raise _Refused(f"a number of {len(node.value)} digits is too large", node.start_mark)
        return int(node.value)

    def number_of(self, node: yaml.ScalarNode) -> float:
        number = float(node.value)
        if not math.isfinite(number):
            raise _Refused(f"{node.value} is too large a number", node.start_mark)
        return number

    def refuse(self, node: yaml.Node) -> NoReturn:
        raise _Refused(f"the tag {node.tag.replace(_TAG, '!!')} is not allowed", node.start_mark)


_Loader.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), _first)
_Loader.yaml_constructors = {
    key: made
    for key, made in yaml.SafeLoader.yaml_constructors.items()
    if key in {f"{_TAG}{name}" for name in ("null", "bool", "str", "seq")}
}
_Loader.add_constructor(f"{_TAG}map", _Loader.object_of)
_Loader.add_constructor(f"{_TAG}int", _Loader.whole_number_of)
_Loader.add_constructor(f"{_TAG}float", _Loader.number_of)
_Loader.add_constructor(None, _Loader.refuse)


def read_text(path: Path, what: str) -> str:
    """Reads a file that a user has written.

    Args:
        path: Where it is.
        what: What it is, for messages, e.g. ``a spec``.

    Raises:
        SpecError: It cannot be read, is too large, or is not text.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError([Fault(str(path), f"cannot be read: {error.strerror or error}")]) from None
    if len(raw) > MAX_BYTES:
        raise SpecError([Fault(str(path), f"is too large; {what} has at most {MAX_BYTES} bytes")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SpecError([Fault(str(path), f"is not UTF-8 text; {what} is YAML or JSON")]) from None


def read_document(text: str, source: str) -> Any:
    """Reads one YAML or JSON document.

    Args:
        text: The document.
        source: How messages name it, e.g. the name of a file.

    Returns:
        A JSON value.

    Raises:
        SpecError: The text is neither; the error names `source`, line and column.
    """
    if text.lstrip()[:1] in ("{", "[", '"'):
        # Most JSON is YAML too, but not its tabs and surrogate pairs.
        try:
            return json.loads(text, object_pairs_hook=_unique)
        except json.JSONDecodeError as error:
            if source.endswith(".json"):
                where = f"{source}:{error.lineno}:{error.colno}"
                fault = Fault(where, f"is not JSON: {error.msg}", error.lineno, error.colno)
                raise SpecError([fault]) from None
        except (ValueError, RecursionError):
            pass  # YAML says where it is
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        at = (mark.line + 1, mark.column + 1) if mark else (None, None)
        raise SpecError([Fault(where, f"{_yaml_reason(error)}{_advice(error, text)}", *at)]) from None
    except RecursionError:
        raise SpecError([Fault(source, "is nested too deeply")]) from None
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).split("\n", 1)[0]
        raise SpecError([Fault(source, f"is not YAML: {reason}")]) from None


def json_faults(value: Any, path: str = "") -> Iterator[Fault]:
    """Yields what JSON cannot express: other types, infinite numbers, half characters, endless depth."""
    waiting: list[tuple[Any, str, int]] = [(value, path, 0)]
    while waiting:
        part, here, depth = waiting.pop()
        if depth > MAX_DEPTH:
            yield Fault(here[:200], f"is nested more than {MAX_DEPTH} levels deep")
        elif isinstance(part, Mapping):
            for key in part:
                if not isinstance(key, str):
                    yield Fault(here, f"the key {key!r} is not text")
            waiting += [(item, join(here, [str(key)]), depth + 1) for key, item in part.items()]
        elif isinstance(part, list | tuple):
            waiting += [(item, join(here, [index]), depth + 1) for index, item in enumerate(part)]
        elif isinstance(part, float) and not math.isfinite(part):
            yield Fault(here, f"{part} is not a JSON number")
        elif isinstance(part, str):
            if any("\ud800" <= character <= "\udfff" for character in part):
                yield Fault(here, "has half of a character in it (a lone surrogate)")
        elif part is not None and not isinstance(part, bool | int | float):
            yield Fault(here, f"{type(part).__name__} is not a JSON type")


def payload_faults(value: Any, path: str = "") -> list[Fault]:
    """Returns why a value cannot be sent in one payload: it is not JSON, or it is too large."""
    faults = list(json_faults(value, path))
    if faults:
        return faults
    size = len(json.dumps(value, ensure_ascii=False).encode())
    message = f"has {size} bytes; at most {MAX_PAYLOAD} are allowed"
    return [Fault(path, message)] if size > MAX_PAYLOAD else []


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _yaml_reason(error: yaml.MarkedYAMLError) -> str:
    if isinstance(error, _Refused):
        reason = str(error.problem)
        return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}..."
    if error.context and "single document" in error.context:
        return "has more than one document; a second one begins here"
    return f"is not YAML: {error.problem or error.context}"


def _advice(error: yaml.MarkedYAMLError, text: str) -> str:
    """Says what to write where YAML takes a mark inside of a text for one of its own."""
    mark = error.problem_mark
    line = text.splitlines()[mark.line : mark.line + 1] if mark is not None else []
    if "${{" in "".join(line):
        return "; write what has ${{ }} in it in quotes"
    return "; write a text that has a colon in it in quotes" if "".join(line).count(": ") > 1 else ""
