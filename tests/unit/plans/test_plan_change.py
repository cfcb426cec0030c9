"""What another plan changes of one that was begun, with exact values."""

from __future__ import annotations

from counterstep.saga.plans.plan_change import PlanChange, plan_change
from counterstep.saga.plans.planned_item import PlannedItem, likeness_of
from counterstep.saga.record.plan_book import ItemRecord


def item(key: str, *after: str, value: str = "", reads: bool = False) -> PlannedItem:
    return PlannedItem(key, 0, key, after, likeness_of(value), uses_results=reads)


def change(old: list[PlannedItem], new: list[PlannedItem], *, closure: bool = False) -> PlanChange:
    begun = {item.key: ItemRecord(item.likeness, item.after) for item in old}
    return plan_change(begun, new, closure=closure)


def changed(*keys: str, **others: tuple[str, ...]) -> PlanChange:
    return PlanChange(**{"kept": (), "changed": keys, "vanished": (), "new": (), **others})


CHAIN = [item("a"), item("b", "a"), item("c", "b"), item("d")]


def test_a_plan_that_is_the_same_keeps_everything_in_whatever_order_it_stands() -> None:
    assert change(CHAIN, CHAIN[::-1]) == changed(kept=("d", "c", "b", "a"))


def test_what_differs_is_done_again_what_is_gone_undone_and_what_comes_is_new() -> None:
    found = change(CHAIN, [item("a", value="x"), item("b", "a"), item("e", "b"), item("d")])
    assert found == PlanChange(kept=("b", "d"), changed=("a",), vanished=("c",), new=("e",))
    assert found.undone == ("a", "c")
    assert str(found) == "keeps b, d; does again a; undoes c; adds e"


def test_another_order_alone_changes_nothing() -> None:
    assert change(CHAIN, [item("a", "d"), item("b"), item("c", "a"), item("d")]).undone == ()


def test_closure_does_again_all_that_comes_after_directly_or_not() -> None:
    new = [item("a", value="x"), *CHAIN[1:]]
    assert change(CHAIN, new, closure=True) == changed("a", "b", "c", kept=("d",))


def test_closure_sees_what_was_added_before_and_what_is_gone_from_there() -> None:
    added = [item("n"), item("a", "n"), *CHAIN[1:]]
    assert change(CHAIN, added, closure=True) == changed("a", "b", "c", kept=("d",), new=("n",))
    gone = [item("b"), item("c", "b"), item("d")]
    assert change(CHAIN, gone, closure=True) == changed("b", "c", kept=("d",), vanished=("a",))


def test_what_reads_results_follows_what_it_reads_and_no_further() -> None:
    old = [item("a"), item("b", "a", reads=True), item("c", "b"), item("d", "c", reads=True)]
    new = [item("a", value="x"), *old[1:]]
    assert change(old, new) == changed("a", "b", kept=("c", "d")), "c is given nothing of b"
    reading = [item("a"), item("b", "a", reads=True), item("c", "b", reads=True)]
    assert change(reading, [item("a", value="x"), *reading[1:]]) == changed("a", "b", "c")


def test_what_reads_results_is_done_again_where_it_stands_before_what_it_reads() -> None:
    old = [item("b", "a", reads=True), item("a")]
    assert change(old, [old[0], item("a", value="x")]) == changed("b", "a")


def test_likeness_is_that_of_the_value_and_not_of_its_order() -> None:
    assert likeness_of({"a": 1, "b": [1, 2]}) == likeness_of({"b": [1, 2], "a": 1})
    assert len({likeness_of(value) for value in ({"a": 1}, {"a": "1"}, {"a": [1]}, {"a": None}, {})}) == 5
