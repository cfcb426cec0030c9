"""JSON Schemas that are made of others."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep.saga.spec.json_schema import as_field, check_input, check_schema

NOTE: dict[str, Any] = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        (NOTE, {"text": "a"}, {"text": 1}),
        ({"$ref": "#/$defs/Note", "$defs": {"Note": NOTE}}, {"text": "a"}, {"text": 1}),
        ({"type": "array", "items": {"$ref": "#"}}, [[], [[]]], [[], "a"]),
        ({"type": "string", "enum": ["#", "a"]}, "#", "b"),
    ],
)
def test_a_value_of_any_schema_is_a_field_of_an_object(
    schema: dict[str, Any], right: Any, wrong: Any
) -> None:
    whole = as_field(schema, "output", {"reason": {"type": "string"}})
    assert not check_schema(whole, "schema")
    assert not check_input(whole, {"output": right, "reason": "so"})
    assert check_input(whole, {"output": wrong, "reason": "so"})[0].path.startswith("input.output")
    assert check_input(whole, {"output": right})
    assert check_input(whole, {"output": right, "reason": "so", "more": 1})
