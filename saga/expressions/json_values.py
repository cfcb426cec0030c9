"""JSON values as expressions read them: their kinds and sizes, and the way into CEL and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator

from ..errors import CounterstepError

T = TypeVar("T")

MAX_DEPTH = 100
"""Levels of lists and maps in a value that an expression reads."""

_KINDS = {
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a map",
    bytes: "bytes",
    datetime: "a timestamp",
    timedelta: "a duration",
}


class OperationRefused(CounterstepError):
    """Values that do not fit an operation; the message is for the user."""


def size(value: Any) -> int:
    """Counts characters, bytes, items or keys; raises `OperationRefused` for what has no size."""
    if not isinstance(value, str | bytes | list | dict):
        raise OperationRefused(f"{kind(value)} has no size")
    return len(value)


def whole(value: Any) -> Any:
    """Returns a decimal without a fraction as an int, and anything else as it is."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


Whole = Annotated[T, BeforeValidator(whole)]
"""The type of a strict field that takes 3.0 for 3, as clients write it whose numbers all have a fraction."""


def for_cel(value: Any, depth: int = 0) -> Any:
    """Returns a JSON value with its whole numbers as int, however a client has written them.

    Raises:
        Refused: It is nested too deeply, or has a number that CEL would change.
    """
    if depth > MAX_DEPTH:
        raise OperationRefused(f"a value is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
        return {key: for_cel(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [for_cel(part, depth + 1) for part in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63 and not _is_exact(value):
        raise OperationRefused("a whole number in it has too many digits to be kept")
    return whole(value)


def _is_exact(value: int) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False


def from_cel(value: Any) -> Any:
    """Returns a result as JSON: keys sorted, times in ISO 8601, durations in seconds.

    Raises:
        Refused: It is not a JSON value.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise OperationRefused("the result is not a finite number")
        return whole(value)
    if isinstance(value, list):
        return [from_cel(part) for part in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise OperationRefused("a map of the result has a key that is not text")
        return {key: from_cel(value[key]) for key in sorted(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return whole(value.total_seconds())
    raise OperationRefused(f"the result is {kind(value)}, which is not a JSON value")


def kind(value: Any) -> str:
    """Says what a value is, in a word of CEL or JSON."""
    if isinstance(value, bool):
        return "true/false"
    if value is None:
        return "null"
    return _KINDS.get(type(value), type(value).__name__)
