"""Schemas of servers are checked without what could take for ever."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep.mcp_client.safe_schema import safe_schema
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
