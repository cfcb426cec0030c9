"""Arithmetic of expressions over JSON values: JSON knows one kind of number, and CEL keeps two apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from .cost_limits import MAX_ITEMS
from .json_values import OperationRefused, kind, whole

MAX_TEXT = 4_000_000
"""Characters of a text that an expression may put together; of a list as many items as loops may visit."""

_DIGITS = 9
"""Behind the point, as far as decimals are taken for exact."""


def calculate(operators: str, *operands: Any) -> Any:
    """Works ``a OP b OP c ...`` out from left to right.

    Args:
        operators: One character each, of ``+ - * / %``.
        operands: One more than operators.

    Returns:
        The result; whole numbers as int.

    Raises:
        Refused: The operands do not fit, or the result is not a finite number.
    """
    total = operands[0]
    for operator, operand in zip(operators, operands[1:], strict=True):
        try:
            total = _apply(operator, total, operand)
        except ZeroDivisionError:
            raise OperationRefused("division by zero") from None
        except ArithmeticError:
            raise OperationRefused(f"the result of {operator} is out of range") from None
    return whole(total)


def _apply(operator: str, left: Any, right: Any) -> Any:
    if _is_number(left) and _is_number(right):
        result = _number(operator, left, right)
        if not math.isfinite(result):
            raise OverflowError
        return result
    if operator == "+" and type(left) is type(right) and isinstance(left, str | bytes | list):
        most, what = (MAX_ITEMS, "items") if isinstance(left, list) else (MAX_TEXT, "characters")
        if len(left) + len(right) > most:
            raise OperationRefused(f"the result of + has more than {most} {what}")
        return left + right
    if operator in "+-" and isinstance(right, timedelta) and isinstance(left, datetime | timedelta):
        return left + right if operator == "+" else left - right
    if operator == "+" and isinstance(left, timedelta) and isinstance(right, datetime):
        return right + left
    if operator == "-" and isinstance(left, datetime) and isinstance(right, datetime):
        return left - right
    mixed = operator == "+" and {kind(left), kind(right)} == {"text", "a number"}
    hint = "; string() makes text of a number" if mixed else ""
    raise OperationRefused(f"{kind(left)} {operator} {kind(right)} is not defined{hint}")


def ceil(value: Any) -> Any:
    """Returns the smallest whole number that is not less.

    Decimals are not exact (0.55 * 100 is a little more than 55), so what is hardly off a whole number is one.

    Args:
        value: A number.

    Raises:
        OperationRefused: It is not a number.
    """
    return math.ceil(_exactly("ceil", value))


def floor(value: Any) -> Any:
    """Returns the largest whole number that is not more; see `ceil`."""
    return math.floor(_exactly("floor", value))


def smallest(*values: Any) -> Any:
    """Returns the smallest of several numbers.

    Raises:
        OperationRefused: There is none, or one is not a number.
    """
    return min(_numbers("min", values))


def largest(*values: Any) -> Any:
    """Returns the largest of several numbers; see `smallest`."""
    return max(_numbers("max", values))


def _exactly(function: str, value: Any) -> float:
    (number,) = _numbers(function, (value,))
    return round(number, _DIGITS)


def _numbers(function: str, values: Sequence[Any]) -> Sequence[float]:
    odd = [kind(value) for value in values if not _is_number(value)]
    if odd or not values:
        raise OperationRefused(f"{function}() takes numbers" + (f", and not {odd[0]}" if odd else ""))
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(operator: str, left: float, right: float) -> float:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            exact = isinstance(left, int) and isinstance(right, int) and right and left % right == 0
            return left // right if exact else left / right
        case _:
            return _remainder(left, right)


def _remainder(left: float, right: float) -> float:
    """Has the sign of `left`, as CEL wants it and Python does not."""
    if isinstance(left, int) and isinstance(right, int):
        return abs(left) % abs(right) * (-1 if left < 0 else 1)
    if right == 0:
        raise ZeroDivisionError
    return math.fmod(left, right)
