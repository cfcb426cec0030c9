"""A ledger as it is carried into the next run."""

from __future__ import annotations

from counterstep.saga.ledger.carry_over import carry, restore
from counterstep.saga.ledger.ledger import Entry, Ledger


def test_a_chain_of_calls_is_carried_in_as_many_parts() -> None:
    ledger = Ledger()
    for number in range(200):
        entry = Entry(f"t{number}#1", "s", "undo", f"k{number}", frozenset(ledger.entries))
        ledger = ledger.arm(entry)
        ledger = ledger.void(entry.id) if number % 7 == 3 else ledger.settle(entry.id, number)
    carried = carry(ledger)
    assert sum(len(entry.depends_on) for entry in carried) == len(carried) - 1
    kept = frozenset(entry.id for entry in carried)
    assert {e.id: e.depends_on for e in restore(carried)} == {
        e.id: e.depends_on & kept for e in ledger if e.id in kept
    }
