"""Many entries: what a ledger does grows as their number, and not as its square."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from counterstep.saga.ledger.carry_over import carry, restore
from counterstep.saga.ledger.ledger import Entry, EntryState, Ledger

FEW = 250
FACTOR = 4
SLACK = 1.5
"""Sorting adds a little; a square would be a factor of 16 in place of 4."""

Names = frozenset[str]


def flat(ledger: Ledger, place: int, number: int) -> Names:
    return frozenset()


def chain(ledger: Ledger, place: int, number: int) -> Names:
    return frozenset([f"s{place - 1}#1"] if place else [])


LAYER: dict[int, Names] = {}


def layers(ledger: Ledger, place: int, number: int) -> Names:
    """Four layers, each entry of which depends on all of the layers before."""
    size = number // 4
    first = place - place % size
    if place == first:
        LAYER[first] = frozenset(ledger.entries)
    return LAYER[first]


def played(needs: Callable[[Ledger, int, int], Names], number: int, *, void: bool = False) -> list[str]:
    """Arms and settles, carries over and undoes; returns the order of the undos."""
    ledger = Ledger()
    for place in range(number):
        id_ = f"s{place}#1"
        ledger = ledger.arm(Entry(id_, f"s{place % 7}", "undo", id_, needs(ledger, place, number)))
        ledger = ledger.void(id_) if void and place % 5 == 2 else ledger.settle(id_, place)
    ledger = restore(carry(ledger)) if needs is not layers else ledger
    order: list[str] = []
    while ready := ledger.ready(most=10):
        for id_ in ready:
            ledger = ledger.begin(id_)
        for id_ in ready:
            ledger = ledger.finish(id_)
        order += ready
    assert not ledger.open()
    return order


def calls_of(work: Callable[[], Any]) -> int:
    """Counts the calls of functions, in Python and in C."""
    count = 0

    def note(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("void", [False, True], ids=["all happened", "some did not"])
@pytest.mark.parametrize("shape", [flat, chain, layers])
def test_four_times_the_entries_cost_four_times_as_much(
    shape: Callable[[Ledger, int, int], Names], void: bool
) -> None:
    few = calls_of(lambda: played(shape, FEW, void=void))
    many = calls_of(lambda: played(shape, FEW * FACTOR, void=void))
    assert many < few * FACTOR * SLACK


@pytest.mark.parametrize("shape", [flat, chain, layers])
def test_ten_thousand_are_undone_newest_first(shape: Callable[[Ledger, int, int], Names]) -> None:
    assert played(shape, 10_000) == [f"s{place}#1" for place in reversed(range(10_000))]


def test_an_older_ledger_still_says_what_was_so() -> None:
    versions = [Ledger()]
    for place in range(40):
        ledger = versions[-1].arm(Entry(f"s{place}#1", "s", "undo", "k", chain(versions[-1], place, 40)))
        versions += [ledger, ledger.settle(f"s{place}#1", place)]
    for place in reversed(range(20, 40)):
        versions.append(versions[-1].begin(f"s{place}#1"))
        versions.append(versions[-1].finish(f"s{place}#1"))
    after_30 = versions[60]
    assert [entry.id for entry in after_30] == [f"s{place}#1" for place in range(30)]
    assert after_30.ready() == ["s29#1"]
    assert after_30.begin("s29#1")["s29#1"].state is EntryState.UNDOING
    assert after_30["s29#1"].state is EntryState.SETTLED
    assert after_30.under("s7") == {"s7#1"}
    assert versions[-1].ready() == ["s19#1"]
    assert versions[-1].open() == [f"s{place}#1" for place in reversed(range(20))]
    assert len(versions[0]) == 0


def test_entries_are_found_by_path_and_by_step() -> None:
    ledger = Ledger()
    for id_ in ("trip[0]/book[1]/tool.1#1", "trip[0]/book#2", "trip[10]/book#1", "tripod#1", "trip#1"):
        ledger = ledger.arm(Entry(id_, id_[:4], "undo", id_))
    assert ledger.under("trip[0]/book") == {"trip[0]/book[1]/tool.1#1", "trip[0]/book#2"}
    assert ledger.under("trip[1]") == frozenset()
    assert ledger.count_under("trip") == 4
    assert ledger.under("trip[0]") == ledger.of(lambda entry: entry.is_under("trip[0]"))
    assert len(ledger.of_step("trip")) == 5
