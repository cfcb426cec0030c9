"""The database of the example `support_desk`, on SQLite and on PostgreSQL: each act once, and undone once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from counterstep import NotApplied
from counterstep.tests.support.processes.postgres import new_database, postgresql
from examples.support_desk.demo import look
from examples.support_desk.desk import Desk
from examples.support_desk.outcome import outcome
from examples.support_desk.records import Call
from examples.support_desk.tables import CUSTOMERS

pytestmark = pytest.mark.long

JUNE, JULY, MIDDLE = date(2026, 6, 1), date(2026, 7, 1), date(2026, 6, 16)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgresql() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def any_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    if request.param == "sqlite":
        return Desk(str(tmp_path / "support.sqlite"))
    return Desk(new_database(request.getfixturevalue("postgres")))


ACTS: dict[str, tuple[Callable[[Desk, Call], object], Callable[[Desk, Call], object]]] = {
    "refund": (lambda d, c: d.refund(c, 3), lambda d, c: d.take_refund_back(c)),
    "charge": (lambda d, c: d.charge(c, "C-1001", "Seats", 700), lambda d, c: d.reverse_charge(c)),
    "plan": (
        lambda d, c: d.change_plan(c, "C-1001", "enterprise"),
        lambda d, c: d.restore_plan(c, "C-1001", "team"),
    ),
    "features": (
        lambda d, c: d.set_features(c, "C-1001", "enterprise"),
        lambda d, c: d.restore_features(c, "C-1001", ["mail_support", "shared_projects"]),
    ),
    "quote": (lambda d, c: d.offer(c, "C-1001", "enterprise", MIDDLE), lambda d, c: d.withdraw_offer(c)),
    "ticket": (
        lambda d, c: d.open_ticket(c, "C-1001", "technical", "help"),
        lambda d, c: d.withdraw_ticket(c),
    ),
}
"""Each with its undo."""


def standing(desk: Desk) -> tuple[Any, ...]:
    """What counts of a customer's rows: what is undone may leave a trace."""
    rows = look(desk, "C-1001")
    paid = [row[0] for row in rows["charges"] if row[-1] == "paid"]
    return paid, rows["account"], [row for row in rows["tickets"] if row[-1] == "open"]


def test_each_act_is_done_once_undone_once_and_refused_after_its_undo(any_desk: Desk) -> None:
    for what, (do, undo) in ACTS.items():
        before = standing(any_desk)
        call = Call(f"{what}-1", "t", "s", what)
        first = do(any_desk, call)
        after = standing(any_desk)
        assert do(any_desk, call) == first
        assert standing(any_desk) == after
        assert (after == before) is (what == "quote")
        for _ in range(2):
            undo(any_desk, call)
            assert standing(any_desk) == before
        with pytest.raises(NotApplied, match="undone before"):
            do(any_desk, call)
        early = Call(f"{what}-2", "t", "s", what)
        undo(any_desk, early)
        with pytest.raises(NotApplied):
            do(any_desk, early)
        assert standing(any_desk) == before
    states = [found.state for found in any_desk.operations("t")]
    assert sorted(states) == ["fenced"] * len(ACTS) + ["undone"] * len(ACTS)


def test_what_is_not_due_is_refused(any_desk: Desk) -> None:
    before = [look(any_desk, customer) for customer in CUSTOMERS]
    call = Call("k", "t", "s", "what")
    for charge_id in (1, 2, 99):
        with pytest.raises(NotApplied):
            any_desk.refund(call, charge_id)
    for customer, plan in (
        ("C-1001", "starter"),
        ("C-1001", "team"),
        ("C-1001", "gold"),
        ("C-9", "enterprise"),
    ):
        with pytest.raises(NotApplied):
            any_desk.offer(call, customer, plan, MIDDLE)
    with pytest.raises(NotApplied, match="is not in the period"):
        any_desk.offer(call, "C-1001", "enterprise", JULY)
    for plan in ("team", "gold"):
        with pytest.raises(NotApplied):
            any_desk.change_plan(call, "C-1001", plan)
    with pytest.raises(NotApplied):
        any_desk.charge(call, "C-9", "Seats", 1)
    with pytest.raises(NotApplied):
        any_desk.open_ticket(call, "C-9", "technical", "help")
    assert any_desk.operations("t") == []
    assert [look(any_desk, customer) for customer in CUSTOMERS] == before


def test_a_plan_that_was_changed_again_is_left_alone(any_desk: Desk) -> None:
    any_desk.change_plan(Call("k1", "t", "s", "plan"), "C-1001", "enterprise")
    any_desk.change_plan(Call("k2", "u", "s", "plan"), "C-1001", "starter")
    any_desk.restore_plan(Call("k1", "t", "s", "plan"), "C-1001", "team")
    assert any_desk.account("C-1001").plan == "starter"


def test_a_refund_that_was_taken_back_can_be_made_again(any_desk: Desk) -> None:
    for key in ("k1", "k2"):
        refund = any_desk.refund(Call(key, "t", "s", "refund"), 3)
        assert (refund.refunded_cents, refund.seconds_apart) == (4900, 3)
        with pytest.raises(NotApplied, match="not a duplicate"):
            any_desk.refund(Call(f"{key}-again", "t", "s", "refund"), 3)
        assert outcome(any_desk, "t", "C-1001").refunded_cents == 4900
        any_desk.take_refund_back(Call(key, "t", "s", "refund"))
    assert outcome(any_desk, "t", "C-1001").statements == []
