"""The desk's database: customers, what they have paid, and what tasks have done; SQLite or PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection, CursorResult, Row, RowMapping, Select, insert, select, text, update

from counterstep import NotApplied

from ..database import Database, FencedKeys
from .money import Charge, Duplicate, dollars, duplicates, prorated
from .records import Account, Call, Operation, Quote, Refund
from .tables import (
    DONE,
    OPEN,
    PAID,
    REFUNDED,
    REVERSED,
    UNDONE,
    WITHDRAWN,
    charges,
    customers,
    fill,
    metadata,
    operations,
    plans,
    tickets,
)


class Desk:
    """The database behind one address.

    Every call that changes something is a row of ``support_operations`` under its idempotency key, written in
    the transaction of the change.
    """

    def __init__(self, address: str) -> None:
        """Names the database; it is opened when it is first used.

        Args:
            address: A path for SQLite, or postgresql://user:password@host/database.
        """
        self._database = Database(address, metadata, fill)
        self._keys = FencedKeys(self._database, operations, DONE, UNDONE)

    # --- what is read

    def account(self, customer: str) -> Account:
        """Returns a customer's plan, features and period; raises `NotApplied` if the customer is unknown."""
        query = select(customers, plans.c.title).join(plans).where(customers.c.customer == customer)
        with self._database.begin() as connection:
            return Account.model_validate(_one(connection, query, f"customer {customer!r}")._asdict())

    def duplicates(self, customer: str) -> list[Duplicate]:
        """Returns the charges that a customer has paid twice by mistake."""
        with self._database.begin() as connection:
            return _duplicates(connection, customer)

    def price(self, customer: str, plan: str, day: date) -> Quote:
        """Prices a change to a dearer plan.

        Args:
            customer: Whose plan it is.
            plan: The new plan.
            day: The first day on it.

        Raises:
            NotApplied: The customer or the plan is unknown, the plan is not dearer, or the day is outside of
                the period.
        """
        account = self.account(customer)
        with self._database.begin() as connection:
            new = _one(connection, select(plans).where(plans.c.plan == plan), f"plan {plan!r}")
            old = _one(connection, select(plans).where(plans.c.plan == account.plan), "plan")
        if new.cents <= old.cents:
            raise NotApplied(f"{new.title} is not an upgrade of {old.title}")
        try:
            cents = prorated(old.cents, new.cents, account.period_start, account.period_end, day)
        except ValueError as error:
            raise NotApplied(str(error)) from None
        return Quote(plan=plan, title=new.title, cents=cents, price=dollars(cents), until=account.period_end)

    def plan_titles(self) -> dict[str, str]:
        """Returns what the plans are called, the cheapest first."""
        with self._database.begin() as connection:
            return {row.plan: row.title for row in connection.execute(select(plans).order_by(plans.c.cents))}

    def operations(self, task: str) -> list[Operation]:
        """Returns what a task did or tried to do, sorted by kind."""
        query = select(operations).where(operations.c.task == task).order_by(operations.c.what)
        with self._database.begin() as connection:
            return [Operation.model_validate(row._asdict()) for row in connection.execute(query)]

    def ask(self, sql: str, **values: str) -> Sequence[Row[Any]]:
        """Returns what a plain SQL query finds; ``:name`` in it stands for a value."""
        with self._database.begin() as connection:
            return connection.execute(text(sql), values).all()

    # --- what is done, each once for its key, and how it is undone

    def refund(self, call: Call, charge_id: int) -> Refund:
        """Refunds a duplicate charge; raises `NotApplied` if it is not one or was refunded before."""

        def give_back(connection: Connection) -> tuple[str, Refund]:
            query = select(charges).where(charges.c.charge_id == charge_id)
            charge = _one(connection, query, f"charge {charge_id}")
            listed = {found.charge_id: found for found in _duplicates(connection, charge.customer)}
            if charge_id not in listed:
                raise NotApplied(f"charge {charge_id} is not a duplicate that is still to be refunded")
            _set_state(connection, charge_id, PAID, REFUNDED)
            apart = listed[charge_id].seconds_apart
            refund = Refund(charge_id=charge_id, refunded_cents=charge.cents, seconds_apart=apart)
            return charge.customer, refund

        return Refund.model_validate(self._do(call, give_back))

    def take_refund_back(self, call: Call) -> None:
        """Undoes `refund`."""
        self._undo(call, lambda c, result: _set_state(c, result["charge_id"], REFUNDED, PAID))

    def charge(self, call: Call, customer: str, what: str, cents: int) -> Charge:
        """Takes money from a customer; raises `NotApplied` if the customer is unknown."""

        def take(connection: Connection) -> tuple[str, Charge]:
            _one(
                connection,
                select(customers).where(customers.c.customer == customer),
                f"customer {customer!r}",
            )
            now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
            row = {"customer": customer, "charged_at": now, "what": what, "cents": cents, "state": PAID}
            added = connection.execute(insert(charges).values(row))
            charge_id = _number(added)
            return customer, Charge(charge_id=charge_id, charged_at=now, what=what, cents=cents)

        return Charge.model_validate(self._do(call, take))

    def reverse_charge(self, call: Call) -> None:
        """Undoes `charge`."""
        self._undo(call, lambda c, result: _set_state(c, result["charge_id"], PAID, REVERSED))

    def change_plan(self, call: Call, customer: str, plan: str) -> str:
        """Puts a customer on another plan; raises `NotApplied` if that would change nothing."""

        def change(connection: Connection) -> tuple[str, Any]:
            _one(connection, select(plans).where(plans.c.plan == plan), f"plan {plan!r}")
            other = (customers.c.customer == customer) & (customers.c.plan != plan)
            if not connection.execute(update(customers).where(other).values(plan=plan)).rowcount:
                raise NotApplied(f"there is no customer {customer!r}, or the plan is {plan} already")
            return customer, {"plan": plan}

        return str(self._do(call, change)["plan"])

    def restore_plan(self, call: Call, customer: str, before: str) -> None:
        """Undoes `change_plan`, unless the plan has been changed again since."""

        def restore(connection: Connection, result: dict[str, Any]) -> None:
            this = (customers.c.customer == customer) & (customers.c.plan == result["plan"])
            connection.execute(update(customers).where(this).values(plan=before))

        self._undo(call, restore)

    def set_features(self, call: Call, customer: str, plan: str) -> list[str]:
        """Switches a customer's features to those of a plan; raises `NotApplied` if either is unknown."""

        def switch(connection: Connection) -> tuple[str, Any]:
            query = select(plans.c.features).where(plans.c.plan == plan)
            features: list[str] = _one(connection, query, f"plan {plan!r}").features
            this = customers.c.customer == customer
            if not connection.execute(update(customers).where(this).values(features=features)).rowcount:
                raise NotApplied(f"there is no customer {customer!r}")
            return customer, {"features": features}

        return list(self._do(call, switch)["features"])

    def restore_features(self, call: Call, customer: str, before: list[str]) -> None:
        """Undoes `set_features`."""
        back = update(customers).where(customers.c.customer == customer).values(features=before)
        self._undo(call, lambda connection, _: connection.execute(back))

    def offer(self, call: Call, customer: str, plan: str, day: date) -> Quote:
        """Records an offer; raises what `price` raises."""
        quote = self.price(customer, plan, day)
        return Quote.model_validate(self._do(call, lambda _: (customer, quote)))

    def withdraw_offer(self, call: Call) -> None:
        """Undoes `offer`."""
        self._undo(call, lambda *_: None)

    def open_ticket(self, call: Call, customer: str, queue: str, said: str) -> int:
        """Opens a ticket and returns its number; raises `NotApplied` if the customer is unknown."""
        self.account(customer)

        def open_(connection: Connection) -> tuple[str, Any]:
            row = {"customer": customer, "queue": queue, "said": said, "state": OPEN}
            added = connection.execute(insert(tickets).values(row))
            return customer, {"ticket_id": _number(added), "queue": queue}

        return int(self._do(call, open_)["ticket_id"])

    def withdraw_ticket(self, call: Call) -> None:
        """Undoes `open_ticket`."""

        def withdraw(connection: Connection, result: dict[str, Any]) -> None:
            this = tickets.c.ticket_id == result["ticket_id"]
            connection.execute(update(tickets).where(this).values(state=WITHDRAWN))

        self._undo(call, withdraw)

    def start_over(self) -> None:
        """Resets all tables to their first rows, and deletes what tasks did."""
        self._database.start_over()

    # ---

    def _do(self, call: Call, change: Callable[[Connection], tuple[str, Any]]) -> dict[str, Any]:
        """Makes a change that returns its customer and its result, and returns the result as JSON."""

        def keep(connection: Connection) -> None:
            customer, result = change(connection)
            kept = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
            this = update(operations).where(operations.c.key == call.key)
            connection.execute(this.values(customer=customer, result=kept))

        result: dict[str, Any] = self._keys.do(call._asdict(), keep)["result"]
        return result

    def _undo(self, call: Call, back: Callable[[Connection, dict[str, Any]], object]) -> None:
        def undo(connection: Connection, row: RowMapping) -> None:
            back(connection, row["result"])

        self._keys.undo(call._asdict(), undo)


def _duplicates(connection: Connection, customer: str) -> list[Duplicate]:
    query = select(charges).where(charges.c.customer == customer, charges.c.state == PAID)
    return duplicates(Charge.model_validate(row._asdict()) for row in connection.execute(query))


def _set_state(connection: Connection, charge_id: int, old: str, new: str) -> None:
    this = (charges.c.charge_id == charge_id) & (charges.c.state == old)
    if not connection.execute(update(charges).where(this).values(state=new)).rowcount:
        raise NotApplied(f"charge {charge_id} is not {old}")


def _number(added: CursorResult[Any]) -> int:
    """Returns the number that a new row was given."""
    assert added.inserted_primary_key is not None
    return int(added.inserted_primary_key[0])


def _one(connection: Connection, query: Select[Any], what: str) -> Row[Any]:
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotApplied(f"there is no {what}")
    return row


_desks: dict[str, Desk] = {}


def desk(task: str) -> Desk:
    """Returns the database for a task.

    ``SUPPORT_DB`` names it; ``.counterstep/support_desk.sqlite`` where it is not set. ``{task}`` in it stands
    for the task's id: a database for each task, for when many at once are to have the same customer.
    """
    address = os.environ.get("SUPPORT_DB") or ".counterstep/support_desk.sqlite"
    named = address.replace("{task}", task)
    return _desks.setdefault(named, Desk(named))
