"""Schemas of servers are checked without what could take for ever."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep.mcp_client.safe_schema import is_endless, safe_schema
from counterstep.saga.spec.json_schema import check_input

SLOW = "^(a+)+$"


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "slow",
    [
        {"type": "string", "pattern": SLOW},
        {"anyOf": [{"type": "string", "pattern": SLOW}]},
        {"type": "array", "items": {"pattern": SLOW}},
        {"$ref": "#/$defs/slow"},
        {"type": "object", "patternProperties": {SLOW: {"type": "integer"}}, "additionalProperties": False},
    ],
)
def test_no_text_keeps_a_worker_busy(slow: dict[str, Any]) -> None:
    text = "a" * 60 + "!"
    value = {"array": [text], "object": {text: "x"}}.get(slow.get("type", ""), text)
    given = {"type": "object", "properties": {"pattern": slow}, "$defs": {"slow": {"pattern": SLOW}}}
    assert check_input(safe_schema(given), {"pattern": value}) == []


def test_everything_else_is_checked() -> None:
    given = {
        "type": "object",
        "properties": {"pattern": {"type": "string", "maxLength": 3}, "kind": {"enum": [{"pattern": "x"}]}},
        "required": ["pattern"],
        "additionalProperties": False,
    }
    assert safe_schema(given) == given
    assert safe_schema(None) is None
    assert check_input(safe_schema(given), {"pattern": "four"})


def doubling(kind: str, times: int, *, named: bool = False) -> dict[str, Any]:
    """A schema that holds a value against its last part 2**times times."""
    parts = {
        f"a{at}": {
            "$anchor": f"a{at}",
            kind: [{"$ref": f"#a{at + 1}" if named else f"#/$defs/a{at + 1}"}] * 2,
        }
        for at in range(times)
    }
    last = {f"a{times}": {"$anchor": f"a{times}", "type": "string"}}
    return {"properties": {"text": {"items": {"$ref": "#/$defs/a0"}}}, "$defs": {**parts, **last}}


@pytest.mark.parametrize("kind", ["allOf", "anyOf", "oneOf"])
@pytest.mark.parametrize("named", [True, False])
def test_references_that_multiply_have_an_end(kind: str, named: bool) -> None:
    assert is_endless(doubling(kind, 40, named=named))
    assert is_endless(doubling(kind, 20_000, named=named))
    assert not is_endless(doubling(kind, 5, named=named))


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"anyOf": [{"type": "string"}] * 500},
        {"$defs": {"node": {"anyOf": [{"items": {"$ref": "#/$defs/node"}}, {"type": "null"}]}}},
        {"properties": {"$id": {"type": "string"}, "allOf": {"$ref": "#"}, "$ref": True, "not": True}},
        {"properties": {"a": {"$ref": "#/$defs/gone"}, "b": {"$ref": "https://example.com/schema"}}},
        {"$ref": "#"},
    ],
)
def test_what_servers_have_is_not_endless(schema: dict[str, Any]) -> None:
    assert not is_endless(schema)
