"""A number of a team: it is written down, or an expression that is evaluated when the team starts."""

from __future__ import annotations

from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from ...errors import ExpressionError
from ...expressions.expression import compile_expression
from ..fields import as_expression

if TYPE_CHECKING:  # what is taken, and not only what is kept
    Number = Any
else:
    Number = float


@dataclass(frozen=True, slots=True)
class Bounds:
    """From where to where a number of a team may go; written beside `Number`.

    Attributes:
        low: The smallest one.
        high: The largest one.
        whole: Whether it is a whole number.
        above: Whether it has to be more than `low`.
    """

    low: float
    high: float
    whole: bool = True
    above: bool = False

    def __str__(self) -> str:
        kind = "whole number" if self.whole else "number"
        most = f"at most {self.high:g}" if self.above else f"to {self.high:g}"
        return f"a {kind} {'above' if self.above else 'from'} {self.low:g} {'and ' * self.above}{most}"

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest number that is allowed, or one that is hardly more, and the largest."""
        low = self.low + (self.high - self.low) / 1000 if self.above else self.low
        return (int(low), int(self.high)) if self.whole else (low, self.high)

    def of(self, source: str, value: Any) -> float:
        """Returns what an expression has come to, where that is allowed.

        Args:
            source: The expression.
            value: What it has come to.

        Raises:
            ExpressionError: It is not allowed.
        """
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not self._allows(value):
            raise ExpressionError(f"{source!r} comes to {value!r}; it has to be {self}")
        return int(value) if self.whole else float(value)

    def _allows(self, value: float) -> bool:
        if self.whole and value != int(value):
            return False
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def _read(self, value: Any, number: Any) -> Any:
        source = as_expression(value)
        if not isinstance(source, str):
            return number(source)
        try:
            expression = compile_expression(source)
            return source if expression.paths else self.of(source, expression.evaluate({}))
        except ExpressionError as error:
            if error.unknown:  # the team says what may be read
                return source
            raise ValueError(str(error)) from None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Takes a number within the bounds, or an expression."""
        lowest = Field(gt=self.low, le=self.high) if self.above else Field(ge=self.low, le=self.high)
        kind: Any = Annotated[int, lowest] if self.whole else Annotated[float, lowest]
        as_it_is = core_schema.plain_serializer_function_ser_schema(lambda value: value)
        return core_schema.no_info_wrap_validator_function(
            self._read, handler.generate_schema(kind), serialization=as_it_is
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Says the same in JSON Schema."""
        lowest = "exclusiveMinimum" if self.above else "minimum"
        number = {"type": "integer" if self.whole else "number", lowest: self.low, "maximum": self.high}
        return {"anyOf": [number, {"type": "string", "minLength": 1}]}


def bounds_of(field: FieldInfo) -> Bounds | None:
    """Returns the bounds of a field that is a `Number`; None where it is something else."""
    parts: list[Any] = [*field.metadata]
    if get_origin(field.annotation) in (Union, UnionType):
        parts += [meta for branch in get_args(field.annotation) for meta in get_args(branch)[1:]]
    return next((part for part in parts if isinstance(part, Bounds)), None)
