"""The tables of the support desk, and what is in them at first."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Date,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
)

metadata = MetaData()

plans = Table(
    "support_plans",
    metadata,
    Column("plan", String(20), primary_key=True),
    Column("title", String(40), nullable=False),
    Column("cents", Integer, nullable=False),
    Column("features", JSON, nullable=False),
)

customers = Table(
    "support_customers",
    metadata,
    Column("customer", String(20), primary_key=True),
    Column("plan", ForeignKey(plans.c.plan), nullable=False),
    Column("features", JSON, nullable=False),
    Column("period_start", Date, nullable=False),
    Column("period_end", Date, nullable=False),
)

charges = Table(
    "support_charges",
    metadata,
    Column("charge_id", Integer, primary_key=True),
    Column("customer", ForeignKey(customers.c.customer), nullable=False, index=True),
    Column("charged_at", DateTime, nullable=False),
    Column("what", String(80), nullable=False),
    Column("cents", Integer, nullable=False),
    Column("state", String(10), nullable=False),
)

tickets = Table(
    "support_tickets",
    metadata,
    Column("ticket_id", Integer, primary_key=True),
    Column("customer", ForeignKey(customers.c.customer), nullable=False),
    Column("queue", String(20), nullable=False),
    Column("said", Text, nullable=False),
    Column("state", String(10), nullable=False),
)

operations = Table(
    "support_operations",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("task", String, nullable=False, index=True),
    Column("step", String, nullable=False),
    Column("what", String(20), nullable=False),
    Column("customer", String(20)),
    Column("result", JSON),
    Column("state", String(10), nullable=False),
)

PAID = "paid"
REFUNDED = "refunded"
REVERSED = "reversed"

OPEN = "open"
WITHDRAWN = "withdrawn"

DONE = "done"
UNDONE = "undone"

CUSTOMERS = ("C-1001", "C-1002", "C-1003", "C-1004")
"""They all have the same history: one charge in May, and two in June that are three seconds apart."""

_PLANS = (
    ("starter", "Starter", 1900, ["mail_support"]),
    ("team", "Team", 4900, ["mail_support", "shared_projects"]),
    ("enterprise", "Enterprise", 29900, ["mail_support", "shared_projects", "single_sign_on", "audit_log"]),
)

_CHARGES = (
    (datetime(2026, 5, 1, 8, 0, 0), "Team, May 2026"),
    (datetime(2026, 6, 1, 8, 0, 0), "Team, June 2026"),
    (datetime(2026, 6, 1, 8, 0, 3), "Team, June 2026"),
)


def fill(connection: Connection) -> None:
    """Puts the first rows into empty tables."""
    names = ("plan", "title", "cents", "features")
    connection.execute(insert(plans), [dict(zip(names, row, strict=True)) for row in _PLANS])
    for customer in CUSTOMERS:
        account: dict[str, Any] = {
            "customer": customer,
            "plan": "team",
            "features": ["mail_support", "shared_projects"],
            "period_start": date(2026, 6, 1),
            "period_end": date(2026, 7, 1),
        }
        connection.execute(insert(customers).values(account))
        for charged_at, what in _CHARGES:
            row = {"customer": customer, "charged_at": charged_at, "what": what, "cents": 4900, "state": PAID}
            connection.execute(insert(charges).values(row))
