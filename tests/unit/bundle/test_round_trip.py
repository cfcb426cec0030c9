"""What a function returns comes back as it was, or is refused: nothing is lost silently, no secret masked."""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AfterValidator,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    SerializeAsAny,
    ValidationError,
    computed_field,
    field_serializer,
    model_serializer,
)
from typing_extensions import TypedDict

from counterstep import DefinitionError, Undo
from counterstep.bundle.function import Function

T = TypeVar("T")
HIDDEN = SecretStr("tok-123")


def returning(type_: Any) -> Function:
    def made() -> None: ...

    made.__annotations__ = {"return": type_}
    return Function(made, "tool t.made")


def undone(type_: Any, written: Any) -> Any:
    """What the undo of a call is given."""

    def take_back(undo: Any) -> None: ...

    take_back.__annotations__ = {"undo": Undo[type_], "return": None}
    told = {
        "input": {},
        "output": written,
        "idempotency_key": "k",
        "reason": "r",
        "step": "s",
        "task_id": "t",
    }
    return Function(take_back, "compensation t.take_back", returns=False).bind({"undo": told})["undo"].output


class Base(BaseModel):
    a: int


class Sub(Base):
    b: int


class Box(BaseModel, Generic[T]):
    content: T


class Holder(BaseModel):
    value: Any


@dataclasses.dataclass
class Loose:
    value: Any


class Numbers(RootModel[list[int]]):
    pass


class Anything(RootModel[dict[str, Any]]):
    pass


class Movie(TypedDict, total=False):
    title: str
    year: int


class Pair(NamedTuple):
    left: int
    right: str = "x"


class Colour(enum.Enum):
    RED = "r"


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    name: str


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


class Card(BaseModel):
    amount: int


class Cash(BaseModel):
    amount: int


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: date
    pair: tuple[int, int]
    colour: Colour


class Plainly(BaseModel):
    model_config = ConfigDict(serialize_by_alias=False)
    booking_id: str = Field(alias="bookingId")


class Hidden(BaseModel):
    internal: str | None = Field(default=None, exclude=True)


class ReadAs(BaseModel):
    booking_id: str = Field("", validation_alias="bookingId")


class ReadFrom(BaseModel):
    booking_id: str = Field("", validation_alias=AliasPath("ids", 0))


class WrittenAs(BaseModel):
    booking_id: str | None = Field(default=None, serialization_alias="bookingId")


class Rounded(BaseModel):
    price: float

    @field_serializer("price")
    def whole(self, price: float) -> float:
        return round(price)


class Shortened(BaseModel):
    a: int
    b: int = 0

    @model_serializer
    def short(self) -> dict[str, int]:
        return {"a": self.a}


class OneWay(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")
    data: bytes


class BothWays(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    data: bytes


class Counting(BaseModel):
    a: Annotated[int, AfterValidator(lambda a: a + 1)]


@dataclasses.dataclass
class Derived:
    a: int
    double: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.double = 2 * self.a


@dataclasses.dataclass
class Late:
    a: int
    later: int = dataclasses.field(default=0, init=False)


class Private(BaseModel):
    a: int
    _cache: int = PrivateAttr(0)


def with_cache() -> Private:
    private = Private(a=1)
    private._cache = 4
    return private


def late(later: int) -> Late:
    made = Late(1)
    made.later = later
    return made


BERLIN = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("type_", "result", "written", "read"),
    [
        (Numbers, Numbers([1]), [1], Numbers([1])),
        (Movie, {"title": "x"}, {"title": "x"}, {"title": "x"}),
        (Pair, Pair(1), [1, "x"], Pair(1)),
        (Box[date], Box[date](content=date(2026, 1, 2)), {"content": "2026-01-02"}, None),
        (
            Annotated[Cat | Dog, Field(discriminator="kind")],
            Dog(name="a"),
            {"kind": "dog", "name": "a"},
            None,
        ),
        (Base | Sub, Sub(a=1, b=2), {"a": 1, "b": 2}, None),
        (Base, Sub(a=1, b=2), {"a": 1}, Base(a=1)),
        (Strict, Strict(when=date(2026, 1, 2), pair=(1, 2), colour=Colour.RED), None, None),
        (Plainly, Plainly(bookingId="b"), {"bookingId": "b"}, None),
        (Hidden, Hidden(), {}, None),
        (WrittenAs, WrittenAs(), {"bookingId": None}, None),
        (BothWays, BothWays(data=b"\xff"), {"data": "_w=="}, None),
        (Extra, Extra(a=1, z=date(2026, 1, 2)), {"a": 1, "z": "2026-01-02"}, Extra(a=1, z="2026-01-02")),  # type: ignore[call-arg]
        (Derived, Derived(1), {"a": 1}, None),
        (Late, late(0), {"a": 1, "later": 0}, None),
        (Private, with_cache(), {"a": 1}, Private(a=1)),
        (Decimal, Decimal("1.10"), "1.10", None),
        (datetime, datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z", None),
        (datetime, BERLIN, "2026-10-25T02:30:00+01:00", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        (timedelta, timedelta(days=-1, microseconds=1), "-PT23H59M59.999999S", None),
        (Colour, Colour.RED, "r", None),
        (frozenset[int], frozenset({1}), [1], None),
        (dict[date, int], {date(2026, 1, 2): 1}, {"2026-01-02": 1}, None),
        (Counter[str], Counter("aa"), {"a": 2}, None),
        (bool | int, 1, 1, None),
        (int | bool, True, True, None),
        (int, 2**53 + 1, 2**53 + 1, None),
        (int, 2**70, 2**70, None),
        (float, -0.0, -0.0, None),
        (Any, (1, Decimal("1.1"), {1}), [1, "1.1", [1]], [1, "1.1", [1]]),
        (Any, Base(a=1), {"a": 1}, {"a": 1}),
        (Any, "**********", "**********", None),
        (Holder, Holder(value=SecretStr("")), {"value": ""}, Holder(value="")),
    ],
    ids=range(33),
)
def test_an_undo_is_given_what_was_returned(type_: Any, result: Any, written: Any, read: Any) -> None:
    value = returning(type_).dump(result)
    if written is not None:
        assert (value, type(value)) == (written, type(written))
    expected = result if read is None else read
    back = undone(type_, value)
    assert (back, type(back)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("type_", "result", "told"),
    [
        (Card | Cash, Cash(amount=1), "it is a Cash and comes back as a Card"),
        (list[Card | Cash], [Card(amount=1), Cash(amount=1)], r"it\[1\] is a Cash and comes back as a Card"),
        (str | date, date(2026, 1, 2), "it is a date and comes back as a str"),
        (float | Decimal, Decimal("1.10"), "it is a Decimal and comes back as a float"),
        (dict[str | None, int], {None: 1}, "the same keys"),
        (dict[Any, int], {1: 1, "1": 2}, "it has 2 entries and comes back with 1"),
        (
            Box[Hidden],
            Box[Hidden](content=Hidden(internal="x")),
            r"content\.internal is a str and comes back as",
        ),
        (ReadAs, ReadAs.model_validate({"bookingId": "b"}), "booking_id comes back with another value"),
        (ReadFrom, ReadFrom(ids=["b"]), "booking_id comes back with another value"),  # type: ignore[call-arg]
        (WrittenAs, WrittenAs(booking_id="b"), "booking_id is a str and comes back as a NoneType"),
        (Rounded, Rounded(price=1.6), "price comes back with another value"),
        (Shortened, Shortened(a=1, b=2), "b comes back with another value"),
        (Annotated[int, PlainSerializer(lambda _: 0)], 7, "it comes back with another value"),
        (
            Annotated[datetime, PlainSerializer(lambda at: at.date().isoformat())],
            BERLIN,
            "it comes back with",
        ),
        (OneWay, OneWay(data=b"abcd"), "data comes back with another value"),
        (Counting, Counting(a=1), "a comes back with another value"),
        (Late, late(4), "later comes back with another value"),
    ],
    ids=range(17),
)
def test_what_would_be_lost_silently_is_refused_and_named(type_: Any, result: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=f"written and read again, .*{told}"):
        returning(type_).dump(result)


class Masked(Secret[date]):
    def _display(self) -> str:
        return "****/**/**"


class Computing(BaseModel):
    token: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def again(self) -> Any:
        return SecretStr(self.token)


class WithToken(Base):
    token: SecretStr


@pytest.mark.parametrize(
    ("type_", "result"),
    [
        (Any, HIDDEN),
        (object, HIDDEN),
        (dict[str, Any], {"a": [{"b": HIDDEN}]}),
        (Any, {HIDDEN: 1}),
        (Any, {HIDDEN}),
        (Any, SecretBytes(b"tok")),
        (Any, Secret[int](3)),
        (Any, Masked(date(2026, 1, 2))),
        (Any, WithToken(a=1, token=HIDDEN)),
        (Holder, Holder(value=HIDDEN)),
        (Box[Any], Box[Any](content=WithToken(a=1, token=HIDDEN))),
        (Loose, Loose(HIDDEN)),
        (Anything, Anything({"a": HIDDEN})),
        (Extra, Extra(a=1, z=HIDDEN)),  # type: ignore[call-arg]
        (SerializeAsAny[Base], WithToken(a=1, token=HIDDEN)),
    ],
    ids=range(15),
)
def test_a_secret_that_hides_is_refused_and_not_written_masked(type_: Any, result: Any) -> None:
    with pytest.raises(ValidationError, match="a secret in it would be masked"):
        returning(type_).dump(result)


class Revealed(BaseModel):
    token: SecretStr

    @field_serializer("token", when_used="json")
    def shown(self, token: SecretStr) -> str:
        return token.get_secret_value()


def test_a_secret_that_is_not_masked_or_not_written_is_no_fault() -> None:
    assert returning(Revealed).dump(Revealed(token=HIDDEN)) == {"token": "tok-123"}
    assert returning(Base).dump(WithToken(a=1, token=HIDDEN)) == {"a": 1}
    assert returning(Computing).dump(Computing(token="t")) == {"token": "t"}


@pytest.mark.parametrize("type_", [Secret[int], Secret[str], Masked, list[Masked], Box[Masked]])
def test_a_type_that_is_masked_is_refused_when_it_is_declared(type_: Any) -> None:
    with pytest.raises(DefinitionError, match="masked when it is written"):
        returning(type_)
