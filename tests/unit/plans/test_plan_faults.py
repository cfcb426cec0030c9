"""What is wrong with a plan, all of it, in exact words."""

from __future__ import annotations

import pytest

from counterstep.saga.effect import Effect
from counterstep.saga.plans.plan_faults import ancestors_of, key_fault, plan_faults
from counterstep.saga.plans.planned_item import PlannedItem


def item(key: str, *after: str, at: int = 0, effect: Effect = Effect.READ_ONLY) -> PlannedItem:
    return PlannedItem(key, at, None, after, effect=effect, target=f"a.{effect.value}")


@pytest.mark.parametrize("key", ["a", "A9", "_", "0", "book_hotel", "a.b-c_d", "x" * 64])
def test_names(key: str) -> None:
    assert key_fault(key) is None


@pytest.mark.parametrize(
    "key", ["", " a", "a b", "-a", "a-", ".a", "a/b", "a[0]", "a#1", "a\n", "ä", "x" * 65]
)
def test_what_is_not_a_name(key: str) -> None:
    assert key_fault(key) == f"the key {key!r} is not a name: up to 64 letters, digits, _, - and . are"


@pytest.mark.parametrize("key", [None, 1, True, ["a"]])
def test_what_is_not_even_a_text(key: object) -> None:
    assert str(key_fault(key)).startswith(f"the key {key!r} is not a name")


def test_a_plan_in_order_has_no_faults() -> None:
    plan = [item("c", "a", "b"), item("a"), item("b", "a")]
    assert list(plan_faults(plan)) == []
    assert ancestors_of(plan) == {"c": {"a", "b"}, "a": frozenset(), "b": {"a"}}


def test_keys_and_what_comes_after_what() -> None:
    plan = [item("a", at=0), item("b", "b", "hotl", at=1), item("hotel", at=2), item("a", at=3)]
    assert list(plan_faults(plan)) == [
        "the key 'a' is that of the items 0 and 3",
        "'b' comes after itself",
        "'b' comes after 'hotl', which is not in the plan; did you mean 'hotel'?",
    ]


def test_a_circle_is_told_once_with_all_in_it_and_none_that_only_waits_for_it() -> None:
    plan = [item("a", "c"), item("b", "a"), item("c", "b"), item("d", "c"), item("e")]
    assert list(plan_faults(plan)) == ["these wait for each other, or for such: a, b, c"]


def test_there_is_one_pivot_and_nothing_that_can_be_undone_behind_it() -> None:
    pivot, undone = Effect.PIVOT, Effect.COMPENSATABLE
    plan = [
        item("pay", effect=pivot),
        item("post", "pay", effect=pivot),
        item("mail", "pay", effect=Effect.RETRIABLE),
        item("book", "mail", effect=undone),
        item("beside", effect=undone),
    ]
    assert list(plan_faults(plan)) == [
        "'post' is a point of no return (a.pivot), and 'pay' is one already; a task has one",
        "'book' can be undone, and comes after 'pay', which cannot; put it before",
    ]
