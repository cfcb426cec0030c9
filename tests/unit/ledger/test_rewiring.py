"""Entries that stand are given something else to build on: order, what is gone, circles."""

from __future__ import annotations

import pytest

from counterstep.saga.ledger.entry import Entry, EntryState, LedgerError
from counterstep.saga.ledger.ledger import Ledger


def ledger(**needs: str) -> Ledger:
    """A ledger of settled entries, each with the ids that it depends on."""
    made = Ledger()
    for id_, depends_on in needs.items():
        made = made.arm(Entry(id_, id_, "undo", f"key {id_}", frozenset(depends_on.split()))).settle(id_)
    return made


def needs_of(made: Ledger) -> dict[str, set[str]]:
    return {entry.id: set(entry.depends_on) for entry in made}


def undone(made: Ledger) -> list[list[str]]:
    """The order of the undos, in layers."""
    layers = []
    while made.is_open():
        ready = made.ready()
        layers.append(ready)
        for id_ in ready:
            made = made.begin(id_).finish(id_)
    return layers


CHAIN = {"a": "", "b": "a", "c": "b", "d": ""}


def test_what_is_moved_comes_last_with_all_that_depends_on_it() -> None:
    made = ledger(**CHAIN).rewire({"b": {"d"}})
    assert needs_of(made) == {"a": set(), "d": set(), "b": {"d"}, "c": {"a", "b", "d"}}
    assert list(needs_of(made)) == ["a", "d", "b", "c"]
    assert undone(made)[0] == ["c"]


def test_nothing_that_is_moved_depends_on_what_is_gone_which_keeps_its_own_order() -> None:
    made = ledger(**CHAIN).rewire({"c": {"a", "d"}}, gone={"b"})
    assert needs_of(made) == {"a": set(), "b": {"a"}, "d": set(), "c": {"a", "d"}}
    assert undone(made) == [["c", "b"], ["d", "a"]], "b need not wait for c any more"


def test_an_order_may_be_turned_round() -> None:
    made = ledger(a="", b="a").rewire({"a": {"b"}, "b": set()})
    assert needs_of(made) == {"b": set(), "a": {"b"}}
    assert undone(made) == [["a"], ["b"]]


def test_a_circle_is_an_error_and_the_ledger_is_as_it_was() -> None:
    before = ledger(**CHAIN)
    with pytest.raises(LedgerError, match="would depend on itself, through"):
        before.rewire({"a": {"c"}, "c": {"b"}, "b": {"a"}})
    assert undone(before) == [["d", "c"], ["b"], ["a"]]


def test_states_and_outputs_stay() -> None:
    made = ledger(a="", b="a", c="")
    made = made.begin("c").fail("c", "stuck").rewire({"c": {"b"}})
    assert made["c"].state is EntryState.STUCK
    assert (made["c"].error, made["c"].attempts) == ("stuck", 1)
