"""The parts of the example `support_desk`: what it computes, and what it takes for the truth."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from examples.support_desk import demo
from examples.support_desk.money import Charge, dollars, duplicates, prorated
from examples.support_desk.outcome import Answer, Outcome, untruths
from examples.support_desk.topics import sort

JUNE, JULY, MIDDLE = date(2026, 6, 1), date(2026, 7, 1), date(2026, 6, 16)
MORNING = datetime(2026, 6, 1, 8)
TITLES = ["Starter", "Team", "Enterprise"]


# --- money


@pytest.mark.parametrize(
    ("old", "new", "day", "cents"),
    [
        (4900, 29900, MIDDLE, 12500),
        (4900, 29900, JUNE, 25000),
        (4900, 29900, date(2026, 6, 30), 833),  # 833.33
        (0, 100, date(2026, 6, 30), 3),  # 3.33
        (0, 45, date(2026, 6, 30), 2),  # 1.5
        (29900, 29900, MIDDLE, 0),
    ],
)
def test_a_change_is_paid_for_the_days_that_are_left(old: int, new: int, day: date, cents: int) -> None:
    assert prorated(old, new, JUNE, JULY, day) == cents


@pytest.mark.parametrize("day", [date(2026, 5, 31), JULY])
def test_a_day_outside_the_period_has_no_price(day: date) -> None:
    with pytest.raises(ValueError, match="is not in the period"):
        prorated(4900, 29900, JUNE, JULY, day)


@pytest.mark.parametrize(("cents", "written"), [(4900, "$49.00"), (5, "$0.05"), (123450, "$1,234.50")])
def test_cents_are_written_as_people_do(cents: int, written: str) -> None:
    assert dollars(cents) == written


def charged(charge_id: int, seconds: float, what: str = "Team", cents: int = 4900) -> Charge:
    at = MORNING + timedelta(seconds=seconds)
    return Charge(charge_id=charge_id, charged_at=at, what=what, cents=cents)


@pytest.mark.parametrize(
    ("charges", "found"),
    [
        ([], []),
        ([charged(1, 0), charged(2, 3)], [(2, 1, 3)]),
        ([charged(2, 3), charged(1, 0)], [(2, 1, 3)]),
        ([charged(1, 0), charged(2, 0)], [(2, 1, 0)]),
        ([charged(1, 0), charged(2, 3), charged(3, 6)], [(2, 1, 3), (3, 1, 6)]),
        ([charged(1, 0), charged(2, 60), charged(3, 61)], [(2, 1, 60)]),
        ([charged(1, 0), charged(2, 61)], []),
        ([charged(1, 0), charged(2, 3, cents=1900)], []),
        ([charged(1, 0), charged(2, 3, what="Seats")], []),
        ([charged(1, 0), charged(2, 1, what="Seats"), charged(3, 3)], [(3, 1, 3)]),
    ],
)
def test_the_same_charge_again_within_a_minute_is_a_duplicate(
    charges: list[Charge], found: list[tuple[int, int, int]]
) -> None:
    assert [(d.charge_id, d.repeats, d.seconds_apart) for d in duplicates(charges)] == found


# --- words


@pytest.mark.parametrize(
    ("message", "wishes"),
    [
        (
            "I've been charged twice for my subscription and I want to upgrade to the enterprise plan.",
            {
                "billing": ["I've been charged twice for my subscription"],
                "sales": ["I want to upgrade to the enterprise plan."],
            },
        ),
        ("Hello! The login fails. Thank you", {"technical": ["The login fails."]}),
        ("What is the weather?", {"escalation": ["What is the weather?"]}),
        ("Refund me, or my lawyer will call.", {"escalation": ["Refund me, or my lawyer will call."]}),
        ("Search and export are broken.", {"technical": ["Search and export are broken."]}),
    ],
)
def test_a_message_is_taken_apart_by_its_words(message: str, wishes: dict[str, list[str]]) -> None:
    found = sort(message)
    assert {name: passages for name, passages in found if passages} == wishes
    assert all(passage in message for passage in found.passages())


TRUE = Outcome(
    refunded_cents=4900,
    charged_cents=0,
    plan="team",
    statements=["We have refunded $49.00.", "The upgrade has failed: you are on the Team plan."],
    text="We have refunded $49.00. The upgrade has failed: you are on the Team plan.",
)


def answer(text: str, **fields: Any) -> Answer:
    return Answer(text=text, **{"refunded_cents": 4900, "charged_cents": 0, "plan": "team", **fields})


@pytest.mark.parametrize("text", [TRUE.text, f"Hello, and sorry for that! {TRUE.text} Kind regards"])
def test_a_true_answer_may_be_kind(text: str) -> None:
    assert untruths(answer(text), TRUE, TITLES) == []


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (answer("We have refunded $49.00. You are on the Enterprise plan."), "it does not say: The upgrade"),
        (answer(f"{TRUE.text} Your upgrade is done."), "of its own"),
        (answer(f"{TRUE.text} Welcome to Enterprise!"), "of its own"),
        (answer(f"{TRUE.text} We give you 10 more."), "of its own"),
        (answer(f"{TRUE.text} {TRUE.statements[0]}"), "of its own"),
        (answer(TRUE.text, plan="enterprise"), "it says plan enterprise, and the database says team"),
        (answer(TRUE.text, charged_cents=12500), "charged_cents 12500"),
        (answer(TRUE.text, refunded_cents=0), "refunded_cents 0"),
    ],
)
def test_an_answer_that_is_not_so_is_told_why(lie: Answer, why: str) -> None:
    (reason,) = [reason for reason in untruths(lie, TRUE, TITLES) if why in reason]
    assert reason


# --- the demo


def _rows(*charges: str, plan: str = "team", queues: tuple[str, ...] = ()) -> demo.Rows:
    cents = [4900, 4900, 4900, 12500]
    return {
        "charges": [(n, "what", cents[n], state) for n, state in enumerate(charges)],
        "account": [(plan, f"features of {plan}")],
        "tickets": [(queue, "said", "open") for queue in queues],
    }


def test_the_demo_says_what_is_not_as_promised() -> None:
    well, faulty, cancelled, _ = demo.SCENES
    before = _rows("paid", "paid", "paid")
    done = _rows("paid", "paid", "refunded", "paid", plan="enterprise")
    told = {"refunded_cents": 4900, "charged_cents": 12500, "plan": "enterprise"}
    assert demo.differences(well, "completed", told, before, done) == []
    assert demo.differences(well, "cancelled", told, before, done) == [
        "the task must end completed, and it is cancelled"
    ]
    undone = _rows("paid", "paid", "refunded", "reversed")
    true = {"refunded_cents": 4900, "charged_cents": 0, "plan": "team"}
    assert demo.differences(faulty, "completed", true, before, undone) == []
    assert demo.differences(faulty, "completed", told, before, undone) == [
        "the answer says 4900, 12500, enterprise, and the rows say 4900, 0, team"
    ]
    assert demo.differences(faulty, "completed", told, before, done) == [
        "the charges must be paid, paid, refunded, reversed; the rows say paid, paid, refunded, paid",
        "the plan must be team; the row says enterprise",
    ]
    as_before = _rows("paid", "paid", "paid", "reversed")
    assert demo.differences(cancelled, "cancelled", None, before, as_before) == []
    half = {**as_before, "account": [("team", "features of enterprise")], "tickets": [("x", "y", "open")]}
    assert demo.differences(cancelled, "cancelled", None, before, half) == [
        "the features are not those of the plan team: features of enterprise",
        "there must be tickets for nothing; the rows say x",
    ]
