"""Arithmetic of expressions over JSON values: JSON knows one kind of number, and CEL keeps two apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from .reading import Body, Path

MAX_DEPTH = 100
"""Levels of lists and maps in a value that an expression reads."""

MAX_ITEMS = 10_000
"""Items that all loops of one evaluation may visit: a workflow that thinks for 2 s is taken for dead."""

MAX_COPIED = 20_000_000
"""Characters of the values that one evaluation may copy: 1 MB for each of 2000 items would take minutes."""

MAX_TEXT = 4_000_000
"""Characters of a text that an expression may put together; of a list as many items as loops may visit."""

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


class Refused(Exception):
    """Values that do not fit an operation; the message is for the user."""


def calculate(operators: str, *operands: Any) -> Any:
    """Works ``a OP b OP c ...`` out from left to right.

    Args:
        operators: One character each, of ``+ - * / %``.
        operands: One more than operators.

    Returns:
        The result; whole numbers as int.

    Raises:
        Refused: The operands do not fit, or the result is no finite number.
    """
    total = operands[0]
    for operator, operand in zip(operators, operands[1:], strict=True):
        try:
            total = _apply(operator, total, operand)
        except ZeroDivisionError:
            raise Refused("division by zero") from None
        except ArithmeticError:
            raise Refused(f"the result of {operator} is out of range") from None
    return whole(total)


def size(value: Any) -> int:
    """Counts characters, bytes, items or keys; raises `Refused` for what has no size."""
    if not isinstance(value, str | bytes | list | dict):
        raise Refused(f"{kind(value)} has no size")
    return len(value)


class Loops:
    """Prepares what the loops of one evaluation run over.

    The library visits the keys of a map in an order that changes from run to run, so they are sorted: an
    expression in a workflow must give the same answer when it is replayed.
    """

    def __init__(self, weigh: Callable[[Sequence[Path]], int], bodies: Sequence[Body]) -> None:
        """Args: weigh: returns the characters of values. bodies: of the loops."""
        self._weigh = weigh
        self._bodies = bodies
        self._heaviest: dict[int, int] = {}
        self._items = 0
        self._copied = 0

    def items(self, value: Any, loop: int) -> list[Any]:
        """Returns the items of a list or the keys of a map.

        Args:
            value: The list or map.
            loop: Which of the expression's loops it is.

        Raises:
            Refused: It is neither, or the loops of this evaluation visit too many items, or copy too much.
        """
        if not isinstance(value, list | dict):
            raise Refused(f"{kind(value)} is neither a list nor a map")
        self._items += len(value)
        if self._items > MAX_ITEMS:
            raise Refused(f"its loops visit more than {MAX_ITEMS} items")
        body = self._bodies[loop]
        if body.items:
            self._heaviest[loop] = max(map(weight, value), default=0)
        around = sum(self._heaviest.get(other, 0) for other in body.items if other != loop)
        own = body.items.count(loop)
        self._copied += len(value) * (self._weigh(body.reads) + around)
        self._copied += own * weight(value) if own > 1 else 0
        check_copied(self._copied)
        return sorted(value, key=str) if isinstance(value, dict) else value

    def parts(self, value: Any, loop: int) -> list[list[Any]]:
        """Returns the same in parts: n of them with n items each cost n ** 3 copies, and not n ** 4."""
        items = self.items(value, loop)
        size = math.isqrt(len(items)) + 1
        return [items[start : start + size] for start in range(0, len(items), size)]


def joined(parts: list[list[Any]]) -> list[Any]:
    """Makes one list of the parts that a loop has made."""
    return [item for part in parts for item in part]


def check_copied(characters: int) -> None:
    """Raises `Refused` where an evaluation would copy too much."""
    if characters > MAX_COPIED:
        raise Refused(f"it would copy values of more than {MAX_COPIED // 1_000_000} MB altogether")


def weight(value: Any) -> int:
    """Returns about as many characters as a JSON value has."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + weight(part) for key, part in value.items())
    if isinstance(value, list | tuple):
        return len(value) + sum(map(weight, value))
    return 1


def whole(value: Any) -> Any:
    """Returns a decimal without a fraction as an int, and anything else as it is."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def for_cel(value: Any, depth: int = 0) -> Any:
    """Returns a JSON value with its whole numbers as int, however a client has written them.

    Raises:
        Refused: It is nested too deeply, or has a number that CEL would change.
    """
    if depth > MAX_DEPTH:
        raise Refused(f"a value is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
        return {key: for_cel(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [for_cel(part, depth + 1) for part in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63 and not _is_exact(value):
        raise Refused("a whole number in it has too many digits to be kept")
    return whole(value)


def _is_exact(value: int) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False


def from_cel(value: Any) -> Any:
    """Returns a result as JSON: keys sorted, times in ISO 8601, durations in seconds.

    Raises:
        Refused: It is no JSON value.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Refused("the result is not a finite number")
        return whole(value)
    if isinstance(value, list):
        return [from_cel(part) for part in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise Refused("a map of the result has a key that is not text")
        return {key: from_cel(value[key]) for key in sorted(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return whole(value.total_seconds())
    raise Refused(f"the result is {kind(value)}, which is no JSON value")


def kind(value: Any) -> str:
    """Says what a value is, in a word of CEL or JSON."""
    if isinstance(value, bool):
        return "true/false"
    if value is None:
        return "null"
    return _KINDS.get(type(value), type(value).__name__)


def _apply(operator: str, left: Any, right: Any) -> Any:
    if _is_number(left) and _is_number(right):
        result = _number(operator, left, right)
        if not math.isfinite(result):
            raise OverflowError
        return result
    if operator == "+" and type(left) is type(right) and isinstance(left, str | bytes | list):
        most, what = (MAX_ITEMS, "items") if isinstance(left, list) else (MAX_TEXT, "characters")
        if len(left) + len(right) > most:
            raise Refused(f"the result of + has more than {most} {what}")
        return left + right
    if operator in "+-" and isinstance(right, timedelta) and isinstance(left, datetime | timedelta):
        return left + right if operator == "+" else left - right
    if operator == "+" and isinstance(left, timedelta) and isinstance(right, datetime):
        return right + left
    if operator == "-" and isinstance(left, datetime) and isinstance(right, datetime):
        return left - right
    mixed = operator == "+" and {kind(left), kind(right)} == {"text", "a number"}
    hint = "; string() makes text of a number" if mixed else ""
    raise Refused(f"{kind(left)} {operator} {kind(right)} is not defined{hint}")


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
