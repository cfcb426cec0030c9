"""Calls that a model has written into its text."""

from __future__ import annotations

import pytest

from counterstep.activities.models.written_call import written_calls

ONE = '{"name": "look", "arguments": {"what": "x"}}'


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (ONE, ["look"]),
        (f"```json\n{ONE}\n```", ["look"]),
        (f"<tool_call>\n{ONE}\n</tool_call>", ["look"]),
        (f"<tool_call>{ONE}</tool_call>\n<tool_call>{ONE}", ["look", "look"]),
        (f"<tool_response>\n{ONE}\n</tool_response>", ["look"]),
        (f"[{ONE}, {ONE}]", ["look", "look"]),
        ('{"name": "look", "parameters": {"what": "x"}}', ["look"]),
    ],
)
def test_a_text_that_is_calls_and_nothing_else_is_calls(text: str, names: list[str]) -> None:
    found = written_calls(text, ["look", "put"])
    assert [call["function"]["name"] for call in found] == names
    assert all(call["function"]["arguments"] == {"what": "x"} for call in found)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        f"I would call {ONE}",
        f"I would call <tool_call>{ONE}</tool_call>",
        '{"name": "burn", "arguments": {}}',
        '{"name": "look", "arguments": {}, "price": 7}',
        '{"name": "look"}',
        '{"name": "look", "arguments": "x"}',
        f'[{ONE}, {{"sku": "A"}}]',
        '{"name": ["look"], "arguments": {}}',
        "[]",
    ],
)
def test_any_other_text_is_a_text(text: str | None) -> None:
    assert written_calls(text, ["look", "put"]) == []
