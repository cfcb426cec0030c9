"""The agency's database in SQLite or PostgreSQL: what can be booked, and what has been booked."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    func,
    insert,
    select,
    update,
)

from counterstep import NotApplied

from ..database import FENCED, Database, FencedKeys

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
    ("entry", "", "Rome", "borghese", "Galleria Borghese", 27, 9),
    ("table", "", "Rome", "da_enzo", "Da Enzo, a table for two", 80, 9),
    ("train", "Rome", "Florence", "FR9410", "Frecciarossa to Florence", 45, 9),
    ("train", "Rome", "Florence", "italo8906", "Italo to Florence", 52, 9),
    ("hotel", "", "Florence", "davanzati", "Hotel Davanzati, 2 nights", 230, 9),
    ("hotel", "", "Florence", "brunelleschi", "Hotel Brunelleschi, 2 nights", 520, 9),
    ("entry", "", "Florence", "uffizi", "Galleria degli Uffizi", 29, 9),
    ("table", "", "Florence", "mario", "Trattoria Mario, a table for two", 50, 9),
    ("table", "", "Florence", "zaza", "Trattoria ZàZà, a table for two", 60, 9),
    ("train", "Florence", "Rome", "FR9443", "Frecciarossa to Rome", 45, 9),
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
    """The database behind one address; bookings have fenced keys."""

    def __init__(self, address: str) -> None:
        """Names the database; it is opened when it is first used.

        Args:
            address: A path for SQLite, or postgresql://user:password@host/database.
        """
        self._database = Database(address, _metadata, _fill)
        self._keys = FencedKeys(self._database, _bookings, BOOKED, CANCELLED)

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
        with self._database.begin() as connection:
            return [Offer.model_validate(row._asdict()) for row in connection.execute(query)]

    def free(self, trip: str, kind: str, city: str, origin: str = "") -> list[Offer]:
        """Returns what of a search can be booked for a trip: what it has already, and then what is left."""
        booked = {row.offer for row in self.bookings(trip, [BOOKED]) if row.kind == kind}
        left = self.left()
        found = self.search(kind, city, origin)
        free = [offer for offer in found if offer.offer in booked or left[f"{kind} {offer.offer}"] > 0]
        return sorted(free, key=lambda offer: offer.offer not in booked)

    def price(self, kind: str, offer: str) -> int:
        """Returns what an offer costs, in EUR."""
        query = select(_inventory.c.price).where(_inventory.c.kind == kind, _inventory.c.offer == offer)
        with self._database.begin() as connection:
            return int(connection.execute(query).scalar_one())

    def sell_out(self, kind: str, offer: str) -> None:
        """Leaves none of an offer."""
        this = (_inventory.c.kind == kind) & (_inventory.c.offer == offer)
        with self._database.begin() as connection:
            connection.execute(update(_inventory).where(this).values(left=0))

    def book(self, key: str, trip: str, kind: str, offer: str) -> Booking:
        """Books one of an offer: inventory and booking change in one transaction.

        Args:
            key: The idempotency key; a call that repeats it gets its first booking.
            trip: The trip it is for.
            kind: ``flight``, ``hotel``, ``car``, ``train``, ``entry`` or ``table``.
            offer: The offer's code.

        Raises:
            NotApplied: There is no such offer, none is left, or the key was undone before.
        """
        this = (_inventory.c.kind == kind) & (_inventory.c.offer == offer)
        with self._database.begin() as connection:
            row = connection.execute(select(_inventory.c.what, _inventory.c.price).where(this)).one_or_none()
        if row is None:
            raise NotApplied(f"there is no {kind} {offer!r}")

        def take(connection: Connection) -> None:
            one_less = (
                update(_inventory).where(this, _inventory.c.left > 0).values(left=_inventory.c.left - 1)
            )
            if not connection.execute(one_less).rowcount:
                raise NotApplied(f"the {kind} {offer!r} is sold out")

        values = {"key": key, "trip": trip, "kind": kind, "offer": offer, **row._asdict()}
        return Booking.model_validate(dict(self._keys.do(values, take)))

    def cancel(self, key: str, trip: str) -> None:
        """Undoes the booking with a key, and makes sure that no booking with that key can be made later.

        It does nothing when the booking was undone before.
        """

        def put_back(connection: Connection, booked: RowMapping) -> None:
            this = (_inventory.c.kind == booked["kind"]) & (_inventory.c.offer == booked["offer"])
            connection.execute(update(_inventory).where(this).values(left=_inventory.c.left + 1))

        self._keys.undo({"key": key, "trip": trip}, put_back)

    def bookings(self, trip: str, states: Sequence[str] = (BOOKED, CANCELLED, FENCED)) -> list[BookingRow]:
        """Returns the rows of a trip, oldest first."""
        query = (
            select(_bookings)
            .where(_bookings.c.trip == trip, _bookings.c.state.in_(states))
            .order_by(_bookings.c.booking_id)
        )
        with self._database.begin() as connection:
            return [BookingRow.model_validate(row._asdict()) for row in connection.execute(query)]

    def left(self) -> dict[str, int]:
        """Returns how many of each offer are left, by ``kind offer``."""
        query = select(_inventory).order_by(_inventory.c.kind, _inventory.c.offer)
        with self._database.begin() as connection:
            return {f"{row.kind} {row.offer}": row.left for row in connection.execute(query)}

    def restock(self) -> None:
        """Refills the inventory to what it was at first, or would be now; bookings stay."""
        with self._database.begin() as connection:
            for row in _rows():
                this = (_inventory.c.kind == row["kind"]) & (_inventory.c.offer == row["offer"])
                if not connection.execute(update(_inventory).where(this).values(left=row["left"])).rowcount:
                    connection.execute(insert(_inventory).values(**row))


def _rows() -> list[dict[str, object]]:
    names = ("kind", "origin", "city", "offer", "what", "price", "left")
    return [dict(zip(names, row, strict=True)) for row in _SHELVES]


def _fill(connection: Connection) -> None:
    connection.execute(insert(_inventory), _rows())


_stores: dict[str, Store] = {}


def store() -> Store:
    """Returns the database that ``TRIP_DB`` names, or ``.counterstep/trip.sqlite`` when it is not set."""
    address = os.environ.get("TRIP_DB") or ".counterstep/trip.sqlite"
    return _stores.setdefault(address, Store(address))
