"""Whether a type can read what is written as JSON: by itself, or as a schema describes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import SchemaValidator, core_schema, to_json

from .round_trip import parts_of

Schema = Mapping[str, Any]

_PLAIN = {"call", "arguments", "generator"}
_OWN_WAYS = {"function-before", "function-wrap", "function-plain", "json"} | _PLAIN
"""Parts of a type that read forms which its schema does not tell."""

_NO_KEYS: Final = (
    "tuple",
    "named-tuple",
    "list",
    "set",
    "frozenset",
    "dict",
    "model",
    "dataclass",
    "typed-dict",
)
_BY_NAME = ("populate_by_name", "validate_by_name")
_SCALARS = {"string", "number", "integer", "boolean"}


@dataclass(frozen=True, slots=True)
class Reader:
    """A type that reads JSON values.

    Attributes:
        schema: Its JSON Schema.
        certain: Whether the schema tells all that the type reads.
        names: Whether it tells all names of fields.
    """

    schema: Schema
    certain: bool
    names: bool

    @classmethod
    def of(cls, type_: TypeAdapter[Any]) -> Reader:
        """Looks at a type."""
        parts = list(parts_of(type_.core_schema))
        configs = [part["config"] for part in parts if isinstance(part.get("config"), Mapping)]
        ways = any(part.get("type") in _OWN_WAYS for part in parts)
        ways = ways or any(config.get("coerce_numbers_to_str") for config in configs)
        by_name = any(config.get(key) for config in configs for key in _BY_NAME)
        aliases = [part["validation_alias"] for part in parts if "validation_alias" in part]
        try:
            schema = type_.json_schema()
        except PydanticUserError:
            return cls({}, certain=False, names=False)
        return cls(schema, not ways, not by_name and all(isinstance(alias, str) for alias in aliases))

    def never_reads(self, written: Schema, *, closed: bool) -> bool:
        """Says whether no value but null can be read.

        Args:
            written: The schema of the values.
            closed: Whether objects have no other fields than those their schema lists, unless it says so.
        """
        return self.certain and _Comparison(written, self, closed).is_apart()


def lost_in_json(core_schema: Any) -> Iterator[str]:
    """Yields, in words, what a type takes and JSON cannot give it; what users' validators read is theirs."""
    known = {part["ref"]: part for part in parts_of(core_schema) if isinstance(part.get("ref"), str)}
    rest, followed = [core_schema], set[str]()
    while rest:
        part = rest.pop()
        if isinstance(part, list | tuple):
            rest += part
        elif (
            not isinstance(part, Mapping) or "serialization" in part or part.get("type") in _OWN_WAYS - _PLAIN
        ):
            continue
        elif part.get("type") == "definitions":
            rest.append(part["schema"])  # the others where they are referred to
        elif part.get("type") == "definition-ref":
            if part["schema_ref"] not in followed:
                followed.add(part["schema_ref"])
                rest.append(known.get(part["schema_ref"]))
        else:
            yield from _lost_here(part)
            rest += [inner for key, inner in part.items() if key not in ("metadata", "expected", "members")]


def _lost_here(part: Mapping[str, Any]) -> Iterator[str]:
    if part.get("type") == "is-subclass":
        yield "a class is no JSON value"
    for value in _listed(part):
        if not _comes_back(part, value):
            yield f"{value!r} cannot be read from JSON; use text, a number or a member of a StrEnum"
    keys = part.get("keys_schema") if part.get("type") == "dict" else None
    if not isinstance(keys, Mapping):
        return
    if keys.get("type") in _NO_KEYS:
        yield f"the keys of a JSON object are text, and cannot be read as a {keys['type']}"
    for value in _listed(keys):
        if not _comes_back({"type": "dict", "keys_schema": keys}, {value: None}):
            yield f"{value!r} cannot be read from JSON as a key; use text or a member of a StrEnum"


def _listed(part: Mapping[str, Any]) -> Sequence[Any]:
    """Returns the values of a type that lists them."""
    found: Sequence[Any] = (
        () if "serialization" in part else part.get("members") or part.get("expected") or ()
    )
    return found if part.get("type") in ("enum", "literal") else ()


def _comes_back(part: Mapping[str, Any], value: Any) -> bool:
    try:
        return bool(SchemaValidator(part).validate_json(to_json(value)) == value)
    except ValueError:
        return False


class WrittenSchema(GenerateJsonSchema):
    """The schema of what is written: fields that have a default are required, since they are written too."""

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        """See base class."""
        if field["type"] == "typed-dict-field":
            return field.get("required", total)
        return "serialization_exclude_if" not in field


class _Comparison:
    """Compares what is written with what is read; all that is not certain counts as readable."""

    def __init__(self, written: Schema, reader: Reader, closed: bool) -> None:
        self._written = written
        self._reader = reader
        self._closed = closed
        self._under_way: set[tuple[int, int]] = set()

    def is_apart(self) -> bool:
        """True if nothing but null is in common."""
        written = [part for part in _choices(self._written, self._written) if part.get("type") != "null"]
        return bool(written) and all(self._apart(part, self._reader.schema) for part in written)

    def _apart(self, written: Any, read: Any) -> bool:
        if not isinstance(written, Mapping) or not isinstance(read, Mapping):
            return False
        pair = (id(written), id(read))
        if pair in self._under_way:
            return False  # A type that contains itself: the rest of it decides.
        self._under_way.add(pair)
        try:
            return self._choices_apart(written, read)
        finally:
            self._under_way.discard(pair)

    def _choices_apart(self, written: Schema, read: Schema) -> bool:
        pairs = [
            (one, other)
            for one in _choices(written, self._written)
            for other in _choices(read, self._reader.schema)
        ]
        return bool(pairs) and all(self._alone_apart(one, other) for one, other in pairs)

    def _alone_apart(self, written: Schema, read: Schema) -> bool:
        one, other = written.get("type"), read.get("type")
        if "allOf" in read or "not" in read or not isinstance(one, str) or not isinstance(other, str):
            return False
        if one == other == "object":
            return self._objects_apart(written, read)
        if one == other == "array":
            return self._arrays_apart(written, read)
        if one == other:
            values = [_values(part) for part in (written, read)]
            return bool(values[0] and values[1]) and not any(v in values[1] for v in values[0])
        # Text is read as a number, and a number as a time; never a number as plain text.
        if one in _SCALARS and other in _SCALARS:
            return other == "string" and "format" not in read
        return True

    def _objects_apart(self, written: Schema, read: Schema) -> bool:
        has, reads = written.get("properties", {}), read.get("properties", {})
        always = set(written.get("required", ()))
        more_written = written.get("additionalProperties", not self._closed)
        more_read = read.get("additionalProperties", True)
        names = self._reader.names
        if more_written is False and names and set(read.get("required", ())) - has.keys():
            return True
        for name, part in has.items():
            if name not in always or not isinstance(part, Mapping):
                continue
            if name in reads:
                if self._apart(part, reads[name]):
                    return True
                continue
            if not names or "patternProperties" in read or part.get("readOnly"):
                continue  # Computed fields are left out where their type does not read them.
            if more_read is False or self._apart(part, more_read):
                return True
        both = isinstance(more_written, Mapping) and isinstance(more_read, Mapping)
        return both and not has and not reads and self._apart(more_written, more_read)

    def _arrays_apart(self, written: Schema, read: Schema) -> bool:
        least = written.get("minItems", 0)
        if least > read.get("maxItems", least) or written.get("maxItems", least) < read.get("minItems", 0):
            return "maxItems" in written or least > read.get("maxItems", least)
        first, other = written.get("prefixItems", []), read.get("prefixItems", [])
        if not first and not other:
            return self._apart(written.get("items"), read.get("items"))
        pairs = zip(first[:least], other, strict=False)
        return any(self._apart(one, two) for one, two in pairs)


def _choices(part: Schema, root: Schema) -> Iterator[Schema]:
    """Yields what a schema may be: the members of unions, with references followed."""
    rest, seen = [part], set()
    while rest:
        schema = rest.pop()
        if not isinstance(schema, Mapping):
            continue
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference not in seen:
                seen.add(reference)
                rest.append(root.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {}))
        elif "anyOf" in schema or "oneOf" in schema:
            rest += [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
        elif isinstance(schema.get("type"), list):
            rest += [{**schema, "type": kind} for kind in schema["type"]]
        else:
            yield schema


def _values(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))
