"""Turns the text of a model's answer into a value that satisfies a JSON Schema, or says what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from .answer_schema import AnswerForm

_FENCE = re.compile(r"^```[\w-]*\s*\n(.*?)\n?\s*```$", re.DOTALL)
_MOST_FAULTS = 5


def parse_json(text: str) -> Any:
    """Parses JSON text strictly.

    Args:
        text: The text; a Markdown fence around it is taken off.

    Returns:
        The value.

    Raises:
        ValueError: The text is not JSON (nor are NaN and Infinity), it is nested too deeply to be sent, or a
            number in it is too large to be one.
    """
    text = text.strip()
    fence = _FENCE.match(text)
    value = from_json(fence.group(1) if fence else text, allow_inf_nan=False)
    json.dumps(value, allow_nan=False)  # 1e999 is read as infinite, and would be sent as null
    return value


def parse_answer(content: str | None, schema: Mapping[str, Any] | None) -> tuple[Any, str | None]:
    """Turns the text of an answer into its value.

    Args:
        content: The text; None if the model said nothing.
        schema: The JSON Schema of the value; None if the text itself is the value.

    Returns:
        The value and None, or None and sentences that tell the model what is wrong with the text.
    """
    if not content or not content.strip():
        return None, "The answer is empty. Give the answer, or call a tool."
    if schema is None:
        return content, None
    try:
        value = parse_json(content)
    except ValueError as error:
        return None, f"The answer is not JSON ({error}). Answer with one JSON value and nothing else."
    return check_answer(value, schema)


def check_answer(value: Any, schema: Mapping[str, Any]) -> tuple[Any, str | None]:
    """Takes an answer out of what a model gave, and checks it; returns what `parse_answer` returns."""
    answer, faults = AnswerForm.of(schema).read(value)
    if not faults:
        return answer, None
    told = "; ".join(faults[:_MOST_FAULTS])
    more = f" (and {len(faults) - _MOST_FAULTS} more)" if len(faults) > _MOST_FAULTS else ""
    return None, f"The answer does not satisfy the schema: {told}{more}. Correct all of it."
