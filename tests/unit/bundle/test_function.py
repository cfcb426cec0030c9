"""What a function returns survives JSON or is refused, and its defaults and secrets are what they say."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable
from datetime import date, datetime
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    SecretBytes,
    SecretStr,
    ValidationError,
    computed_field,
    field_serializer,
)
from pydantic.alias_generators import to_camel

from counterstep import Bundle, DefinitionError, Undo
from counterstep.bundle.function import Function


def by_name(size: Any) -> Any:
    return Size[size] if isinstance(size, str) else size


BySizeName = Annotated["Size", BeforeValidator(by_name), PlainSerializer(lambda size: size.name)]


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
    booking_id: str


class CamelOnly(BaseModel):
    booking_id: str = Field(alias="bookingId")


class WrittenAs(BaseModel):
    booking_id: str = Field(serialization_alias="bookingId")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    net: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def gross(self) -> int:
        return self.net * 2


class Excluded(BaseModel):
    internal: str = Field(exclude=True)


class Formatted(BaseModel):
    when: datetime

    @field_serializer("when")
    def day(self, when: datetime) -> str:
        return when.strftime("%d.%m.%Y")


class Broken(BaseModel):
    net: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def gross(self) -> int:
        raise KeyError("rate")


def known(net: int) -> int:
    return {1: 1}[net]


class Picky(BaseModel):
    net: Annotated[int, AfterValidator(known)]


class Kind(Enum):
    CARD = "card"
    CASH = "cash"


class KindText(StrEnum):
    CARD = "card"


class Size(Enum):
    SMALL = (1, 2)


class Weekday(Enum):
    MONDAY = 1


class Handle(Enum):
    OUT = sys.stdout


class Paid(BaseModel):
    kind: Literal[Kind.CARD]


class Sized(BaseModel):
    """Reads and writes sizes by their names; two of them, so that the type stands apart."""

    first: BySizeName
    second: BySizeName


class Raw(BaseModel):
    data: Json[dict[str, int]]


class Token(BaseModel):
    value: SecretStr


def returning(type_: Any) -> Function:
    def made() -> None: ...

    made.__annotations__ = {"return": type_}
    return Function(made, "tool t.made")


@pytest.mark.parametrize(
    ("type_", "result", "written"),
    [
        (Camel, Camel(booking_id="b"), {"bookingId": "b"}),
        (CamelOnly, CamelOnly(bookingId="b"), {"bookingId": "b"}),
        (Computed, Computed(net=1), {"net": 1}),
        (Raw, Raw(data='{"a": 1}'), {"data": '{"a":1}'}),  # type: ignore[arg-type]
        (tuple[int, str], (1, "a"), [1, "a"]),
        (bytes, b"abc", "abc"),
    ],
)
def test_a_result_is_written_so_that_it_can_be_read_as_its_type(
    type_: Any, result: Any, written: Any
) -> None:
    function = returning(type_)
    assert function.dump(result) == written
    assert function._returns.validate_python(written) == result
    if isinstance(result, Camel | CamelOnly):
        assert list(function.output_schema["properties"]) == ["bookingId"]


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("type_", "result"),
    [
        (Formatted, Formatted(when=datetime(2026, 1, 2))),
        (Excluded, Excluded(internal="x")),
        (WrittenAs, WrittenAs(booking_id="b")),
        (Broken, Broken(net=1)),
        (Picky, {"net": 2}),
        (str, "\ud83d"),
        (Any, {"\ud83d": 1}),
        (Any, nested(101)),
        (Any, nested(5000)),
        (Any, float("nan")),
        (Any, [float("inf")]),
        (Any, b"\xff"),
        (Any, 10**5000),
    ],
    ids=range(13),
)
def test_a_result_that_json_cannot_carry_is_refused(type_: Any, result: Any) -> None:
    with pytest.raises(ValidationError):
        returning(type_).dump(result)


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        (Paid, "<Kind.CARD: 'card'> cannot be read from JSON"),
        (Literal[Kind.CARD, Kind.CASH] | None, "cannot be read from JSON"),
        (list[Size], "<Size.SMALL: (1, 2)> cannot be read from JSON"),
        (Handle, "cannot travel as JSON"),
        (dict[Weekday, int], "<Weekday.MONDAY: 1> cannot be read from JSON as a key"),
        (dict[tuple[int, int], str], "cannot be read as a tuple"),
        (type[int], "a class is no JSON value"),
    ],
)
def test_a_type_that_json_cannot_give_is_refused_when_it_is_declared(type_: Any, told: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(told)):
        returning(type_)
    with pytest.raises(DefinitionError, match=re.escape(told)):
        Function(taking(type_), "tool t.takes")


@pytest.mark.parametrize(
    ("type_", "written"),
    [
        (Literal[KindText.CARD], "card"),
        (dict[KindText, int], {"card": 1}),
        (dict[date, int], {"2026-01-02": 1}),
        (Weekday, 1),
        (Sized, {"first": "SMALL", "second": "SMALL"}),
    ],
)
def test_types_like_these_are_taken_where_they_come_back(type_: Any, written: Any) -> None:
    read = Function(taking(type_), "tool t.takes").bind({"value": written})["value"]
    assert returning(type_).dump(read) == written


def taking(type_: Any) -> Callable[..., None]:
    def takes(value: Any) -> None: ...

    takes.__annotations__["value"] = type_
    return takes


def test_a_result_may_be_nested_a_hundred_times() -> None:
    assert returning(Any).dump(nested(100)) == nested(100)


@pytest.mark.parametrize("type_", [SecretStr, SecretBytes, Token, list[Token], dict[str, Token | None]])
def test_a_secret_that_would_be_masked_is_refused(type_: Any) -> None:
    with pytest.raises(DefinitionError, match=r"tool t\.made: .* in its result .*masked"):
        returning(type_)

    with pytest.raises(DefinitionError, match=r"in its parameters .*masked"):
        Function(taking(type_), "tool t.takes")


def charge(
    amount: int = Field(ge=100, description="cents"),
    times: Annotated[int, Field(ge=1)] = Field(default=1, le=3),
    notes: list[str] = Field(default_factory=list),  # noqa: B008
    code: str = Field("x", alias="other"),
) -> None: ...


def test_defaults_that_are_fields_are_fields() -> None:
    function = Function(charge, "tool pay.charge")
    assert function.input_schema["required"] == ["amount"]
    properties = function.input_schema["properties"]
    assert (properties["amount"]["minimum"], properties["amount"]["description"]) == (100, "cents")
    assert (properties["times"]["minimum"], properties["times"]["maximum"]) == (1, 3)
    assert function.bind({"amount": 100}) == {"amount": 100, "times": 1, "notes": [], "code": "x"}
    assert function.bind({"amount": 100, "code": "y"})["code"] == "y"


@pytest.mark.parametrize(
    "wrong", [{}, {"amount": 1}, {"amount": 100, "times": 99}, {"amount": 100, "times": 0}]
)
def test_fields_as_defaults_hold_at_the_call(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Function(charge, "tool pay.charge").bind(wrong)


@pytest.mark.parametrize(
    ("type_", "default"),
    [
        (int, dataclasses.field(default=3)),
        (int, "three"),
        (Annotated[int, Field(ge=100)], 1),
        (int, Field(1, ge=100)),
        (Literal["a"], "b"),
    ],
    ids=range(5),
)
def test_a_default_that_does_not_fit_its_type_is_refused(type_: Any, default: Any) -> None:
    takes = taking(type_)
    takes.__defaults__ = (default,)
    with pytest.raises(DefinitionError, match="the default of parameter 'value' does not fit its type"):
        Function(takes, "tool t.takes")


def test_none_is_a_default_of_every_type() -> None:
    takes = taking(int)
    takes.__defaults__ = (None,)
    assert Function(takes, "tool t.takes").bind({}) == {"value": None}


@pytest.mark.parametrize("result", [object(), 1, "\ud83d", "x" * 2_000_000])
def test_what_an_undo_returns_is_ignored(result: object) -> None:
    hotel = Bundle("hotel")

    @hotel.compensation
    def cancel(undo: Undo[str]) -> None: ...

    assert hotel.functions["hotel.cancel"].dump(result) is None
