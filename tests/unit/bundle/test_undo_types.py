"""A compensation that can never read what its calls return is refused when the bundles load."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    SerializeAsAny,
    computed_field,
    model_validator,
)
from typing_extensions import TypedDict

from counterstep import Agent, Bundle, DefinitionError, Effect, Undo
from counterstep.bundle.registry import Registry


class Booking(BaseModel):
    id: str
    price: float = 0


class WithRoom(Booking):
    room: int = 1


class OnlyId(BaseModel):
    id: str


class OnlyIdStrictly(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str


class Refund(BaseModel):
    id: str
    account: str


class WithAccount(OnlyId):
    account: str


class ByNumber(BaseModel):
    id: list[int]


@dataclass
class Plain:
    id: str


class Written(TypedDict):
    id: str


class Point(NamedTuple):
    x: int
    y: int


class Named(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    key: str = Field(alias="id")
    id2: str = Field("", alias="theKey")


class ById(BaseModel):
    key: str = Field(validation_alias=AliasChoices("key", "id"))


class FromText(BaseModel):
    key: str

    @model_validator(mode="before")
    @classmethod
    def read(cls, value: Any) -> Any:
        return {"key": value} if isinstance(value, str) else value


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    net: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def gross(self) -> int:
        return self.net * 2


class HoldsComputed(BaseModel):
    inner: Computed


class AlsoHoldsComputed(BaseModel):
    inner: Computed
    other: int = 0


class Raw(BaseModel):
    data: Json[dict[str, int]]


class AlsoRaw(BaseModel):
    data: Json[dict[str, int]]


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class OtherTree(BaseModel):
    name: str
    children: list[OtherTree] = []


class NumberTree(BaseModel):
    name: list[str]
    children: list[NumberTree] = []


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


def loaded(returned: Any, wanted: Any, bundle: Bundle | None = None) -> str:
    """Loads a tool and its compensation; returns what is said against them."""
    shop = bundle or Bundle("shop")

    def book() -> Any: ...
    def cancel(undo: Any) -> None: ...

    book.__annotations__ = {"return": returned}
    cancel.__annotations__ = {"undo": wanted if wanted is Undo else Undo[wanted], "return": None}
    shop.compensation(cancel)
    shop.tool(compensate="cancel")(book)
    try:
        Registry([shop])
    except DefinitionError as error:
        return str(error)
    return ""


READABLE: list[tuple[Any, Any, Any]] = [
    (Booking, Booking, None),
    (Booking, Undo, None),
    (Booking, Any, None),
    (Any, Booking, None),
    (Booking, Booking | None, None),
    (Booking | None, Booking, None),
    (None, Booking, None),
    (WithRoom, Booking, WithRoom(id="b")),
    (Booking, WithRoom, Booking(id="b")),
    (Booking, OnlyId, Booking(id="b")),
    (Booking, dict[str, Any], Booking(id="b")),
    (Booking, dict, Booking(id="b")),
    (Booking, Plain, Booking(id="b")),
    (Plain, Written, Plain("b")),
    (Written, Booking, {"id": "b"}),
    (Booking, Refund | Booking, Booking(id="b")),
    (Refund | Booking, Booking, Booking(id="b")),
    (Booking, Named, Booking(id="b")),
    (Booking, ById, Booking(id="b")),
    (str, FromText, "b"),
    (dict[str, Any], Booking, {"id": "b"}),
    (dict[str, str], Booking, {"id": "b"}),
    (SerializeAsAny[OnlyId], WithAccount, WithAccount(id="b", account="a")),
    (HoldsComputed, AlsoHoldsComputed, HoldsComputed(inner=Computed(net=1))),
    (Raw, AlsoRaw, Raw(data='{"a": 1}')),  # type: ignore[arg-type]
    (Tree, OtherTree, Tree(name="a", children=[Tree(name="b")])),
    (str, int, "17"),
    (int, float, 17),
    (int, bool, 1),
    (int, date, 86400),
    (date, str, date(2026, 1, 2)),
    (Decimal, float, Decimal("1.5")),
    (float, Decimal, 1.5),
    (list[int], set[int], [1]),
    (tuple[int, str], list[int | str], (1, "a")),
    (Point, tuple[int, int], Point(1, 2)),
    (Cat, Cat | Dog, Cat(kind="cat")),
]


@pytest.mark.parametrize(("returned", "wanted", "value"), READABLE, ids=range(len(READABLE)))
def test_what_can_be_read_is_accepted(returned: Any, wanted: Any, value: Any) -> None:
    shop = Bundle("shop")
    assert loaded(returned, wanted, shop) == ""
    if value is None:
        return
    # And it is read indeed.
    told = {"input": {}, "idempotency_key": "k", "reason": "r", "step": "s", "task_id": "t"}
    written = shop.functions["shop.book"].dump(value)
    assert (
        shop.functions["shop.cancel"].bind({"undo": {**told, "output": written}})["undo"].output is not None
    )


NOT_READABLE: list[tuple[Any, Any]] = [
    (Booking, Refund),
    (Booking, str),
    (str, Booking),
    (Booking | None, Refund),
    (Booking, OnlyIdStrictly),
    (Booking, ByNumber),
    (Booking, dict[str, list[int]]),
    (Booking, list[Booking]),
    (list[Booking], Booking),
    (list[Booking], list[Refund]),
    (dict[str, Booking], dict[str, Refund]),
    (int, str),
    (str, list[str]),
    (tuple[int, str], tuple[int, str, str]),
    (Cat, Dog),
    (Tree, NumberTree),
    (SerializeAsAny[OnlyId], str),
]


@pytest.mark.parametrize(("returned", "wanted"), NOT_READABLE)
def test_what_can_never_be_read_is_refused(returned: Any, wanted: Any) -> None:
    fault = loaded(returned, wanted)
    assert fault.startswith("tool shop.book: its compensation shop.cancel reads ")
    assert fault.endswith("; give both the same type")


def test_one_member_of_a_union_that_may_fit_is_enough() -> None:
    assert loaded(Booking | str, Refund | int | list[int]) == "", "text may be a number"


def cancel(undo: Undo[Booking]) -> None: ...


class Restoring(Undo[Booking]):
    before: OnlyIdStrictly | None = None


def restore(undo: Restoring) -> None: ...


def room(nights: int) -> Booking: ...  # type: ignore[empty-body]
def refund(nights: int) -> Refund: ...  # type: ignore[empty-body]
def code(nights: int) -> int: ...  # type: ignore[empty-body]


def test_all_calls_of_all_bundles_that_name_it_are_told_at_once() -> None:
    hotel, desk = Bundle("hotel"), Bundle("desk")
    hotel.compensation(cancel)
    hotel.compensation(restore)
    hotel.tool(compensate="cancel")(room)
    desk.tool(effect=Effect.READ_ONLY)(refund)
    desk.tool(compensate="hotel.restore", before="refund")(code)
    for name, output in (("clerk", int), ("porter", Booking), ("maid", {"type": "object"})):
        desk.add(Agent(name=name, description="", instructions="", output=output, compensate="hotel.cancel"))
    with pytest.raises(DefinitionError) as caught:
        Registry([hotel, desk])
    same = "give both the same type"
    assert str(caught.value).splitlines() == [
        f"tool desk.code: its compensation hotel.restore reads Booking as output, and it returns int; {same}",
        "tool desk.code: its compensation hotel.restore reads OnlyIdStrictly as before, "
        f"and desk.refund returns Refund; {same}",
        "agent desk.clerk: its compensation hotel.cancel reads Booking as output, "
        f"and it returns integer; {same}",
    ]
