"""The agency's database: what can be booked, and what is; SQLite or PostgreSQL."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from sqlalchemy import (
    CheckConstraint,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    func,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from counterstep import NotApplied

# An offer's price is in whole EUR; one row of the inventory may be booked `left` more times.
_SHELVES = [
    ("flight", "Zurich", "Rome", "LX1726", "Swiss to Rome and back", 240, 9),
    ("flight", "Zurich", "Rome", "AZ573", "ITA to Rome and back", 210, 9),
    ("flight", "Zurich", "Venice", "LX1664", "Swiss to Venice and back", 190, 9),
    ("hotel", "", "Rome", "artemide", "Hotel Artemide, 3 nights", 390, 9),
    ("hotel", "", "Rome", "excelsior", "Hotel Excelsior, 3 nights", 990, 9),
    ("hotel", "", "Venice", "danieli", "Hotel Danieli, 3 nights", 870, 0),
    ("car", "", "Rome", "fiat500", "Fiat 500, 3 days", 120, 9),
    ("car", "", "Venice", "panda", "Fiat Panda, 3 days", 110, 9),
]

_metadata = MetaData()

_inventory = Table(
    "trip_inventory",
    _metadata,
    Column("kind", String(10), primary_key=True),
    Column("offer", String(20), primary_key=True),
    Column("origin", String(40), nullable=False),
    Column("city", String(40), nullable=False),
    Column("what", String(80), nullable=False),
    Column("price", Integer, nullable=False),
    Column("left", Integer, CheckConstraint('"left" >= 0'), nullable=False),
)

_bookings = Table(
    "trip_bookings",
    _metadata,
    Column("booking_id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("trip", String, nullable=False, index=True),
    Column("kind", String(10)),
    Column("offer", String(20)),
    Column("what", String(80)),
    Column("price", Integer),
    Column("state", String(10), nullable=False),
)

BOOKED = "booked"
CANCELLED = "cancelled"
FENCED = "fenced"
"""The undo came first: the row holds nothing but the key, and a call with that key is refused."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Offer(_Model):
    """Something to book; the price is in EUR. Whether any is left shows when it is booked."""

    offer: str
    what: str
    price: int


class Booking(_Model):
    """Something booked; the price is in EUR."""

    booking_id: int
    kind: str
    what: str
    price: int


class BookingRow(_Model):
    """A row of the table of bookings as it is; a fenced one is empty but for its key."""

    booking_id: int
    key: str
    trip: str
    kind: str | None
    offer: str | None
    what: str | None
    price: int | None
    state: str


class Store:
    """The database behind one address.

    Bookings have fenced keys: a key is the idempotency key of the call that books, and a row with that key,
    once written, stays. So a repeated call finds its first booking; an undo marks the row; and a call that
    arrives after its undo finds the mark and is refused.
    """

    def __init__(self, address: str) -> None:
        """Args: address: a path for SQLite, or postgresql://user:password@host/database."""
        self._address = address
        self._opening = threading.Lock()

    def search(self, kind: str, city: str, origin: str = "") -> list[Offer]:
        """Returns the offers of a kind for a city, the cheapest first."""
        table = _inventory.c
        query = (
            select(table.offer, table.what, table.price)
            .where(
                table.kind == kind,
                func.lower(table.city) == city.lower(),
                func.lower(table.origin) == origin.lower(),
            )
            .order_by(table.price)
        )
        with self._engine.begin() as connection:
            return [Offer.model_validate(row._asdict()) for row in connection.execute(query)]

    def book(self, key: str, trip: str, kind: str, offer: str) -> Booking:
        """Books one of an offer: inventory and booking change in one transaction.

        Args:
            key: The idempotency key; a call that repeats it gets its first booking.
            trip: The trip it is for.
            kind: ``flight``, ``hotel`` or ``car``.
            offer: The offer's code.

        Raises:
            NotApplied: There is no such offer, none is left, or the key was undone before.
        """
        this = (_inventory.c.kind == kind) & (_inventory.c.offer == offer)
        take = update(_inventory).where(this, _inventory.c.left > 0).values(left=_inventory.c.left - 1)
        with self._engine.begin() as connection:
            row = connection.execute(select(_inventory.c.what, _inventory.c.price).where(this)).one_or_none()
        if row is None:
            raise NotApplied(f"there is no {kind} {offer!r}")
        values = {"key": key, "trip": trip, "kind": kind, "offer": offer, "state": BOOKED, **row._asdict()}
        # Like an undo it locks the key first and the inventory second, so the two cannot block each other.
        with suppress(IntegrityError), self._engine.begin() as connection:
            connection.execute(insert(_bookings).values(values))
            if not connection.execute(take).rowcount:
                raise NotApplied(f"the {kind} {offer!r} is sold out")
        booked = self._row(key)
        if booked.state != BOOKED:
            raise NotApplied(f"this booking of the {kind} {offer!r} has been undone before")
        return Booking.model_validate(booked.model_dump())

    def cancel(self, key: str, trip: str) -> None:
        """Undoes the booking with a key, and keeps a booking with that key from ever being made.

        Does nothing when it was undone before.
        """
        with suppress(IntegrityError), self._engine.begin() as connection:
            connection.execute(insert(_bookings).values(key=key, trip=trip, state=FENCED))
            return
        this = _bookings.c.key == key
        mark = update(_bookings).where(this, _bookings.c.state == BOOKED).values(state=CANCELLED)
        with self._engine.begin() as connection:
            if not connection.execute(mark).rowcount:
                return
            booked = connection.execute(select(_bookings.c.kind, _bookings.c.offer).where(this)).one()
            put_back = update(_inventory).values(left=_inventory.c.left + 1)
            connection.execute(
                put_back.where(_inventory.c.kind == booked.kind, _inventory.c.offer == booked.offer)
            )

    def bookings(self, trip: str, states: Sequence[str] = (BOOKED, CANCELLED, FENCED)) -> list[BookingRow]:
        """Returns the rows of a trip, oldest first."""
        query = (
            select(_bookings)
            .where(_bookings.c.trip == trip, _bookings.c.state.in_(states))
            .order_by(_bookings.c.booking_id)
        )
        with self._engine.begin() as connection:
            return [BookingRow.model_validate(row._asdict()) for row in connection.execute(query)]

    def left(self) -> dict[str, int]:
        """Returns how many of each offer are left, by ``kind offer``."""
        query = select(_inventory).order_by(_inventory.c.kind, _inventory.c.offer)
        with self._engine.begin() as connection:
            return {f"{row.kind} {row.offer}": row.left for row in connection.execute(query)}

    def restock(self) -> None:
        """Fills the inventory up to what it was in the beginning; bookings stay."""
        with self._engine.begin() as connection:
            for kind, _, _, offer, _, _, left in _SHELVES:
                this = (_inventory.c.kind == kind) & (_inventory.c.offer == offer)
                connection.execute(update(_inventory).where(this).values(left=left))

    def _row(self, key: str) -> BookingRow:
        with self._engine.begin() as connection:
            row = connection.execute(select(_bookings).where(_bookings.c.key == key)).one()
        return BookingRow.model_validate(row._asdict())

    @property
    def _engine(self) -> Engine:
        with self._opening:
            return self._opened

    @cached_property
    def _opened(self) -> Engine:
        engine = _connect(self._address)
        _metadata.create_all(engine)
        with engine.begin() as connection:
            if connection.execute(select(func.count()).select_from(_inventory)).scalar_one() == 0:
                names = ("kind", "origin", "city", "offer", "what", "price", "left")
                connection.execute(
                    insert(_inventory), [dict(zip(names, row, strict=True)) for row in _SHELVES]
                )
        return engine


_stores: dict[str, Store] = {}


def store() -> Store:
    """Returns the database that ``TRIP_DB`` names; ``.counterstep/trip.sqlite`` where it names none."""
    address = os.environ.get("TRIP_DB") or ".counterstep/trip.sqlite"
    return _stores.setdefault(address, Store(address))


def _connect(address: str) -> Engine:
    if "://" not in address:
        Path(address).parent.mkdir(parents=True, exist_ok=True)
        return create_engine(f"sqlite:///{address}", connect_args={"timeout": 30})
    url = make_url(address)
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    return create_engine(url)
