"""The ledger as a pure value: no order of events may lose, repeat or reorder an undo."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from counterstep.saga.ledger.ledger import Entry, EntryState, Ledger, LedgerError


def entry(name: str, *depends_on: str, **more: Any) -> Entry:
    return Entry(
        id=name,
        step=name,
        compensation=f"undo.{name}",
        key=f"key-{name}",
        depends_on=frozenset(depends_on),
        **more,
    )


def armed(*entries: Entry) -> Ledger:
    ledger = Ledger()
    for item in entries:
        ledger = ledger.arm(item)
    return ledger


def settled(*entries: Entry) -> Ledger:
    ledger = armed(*entries)
    for item in entries:
        ledger = ledger.settle(item.id)
    return ledger


def undo(ledger: Ledger, *names: str) -> Ledger:
    for name in names:
        ledger = ledger.begin(name).finish(name)
    return ledger


CHAIN = (entry("a"), entry("b", "a"), entry("c", "b"))
DIAMOND = (entry("a"), entry("b", "a"), entry("c", "a"), entry("d", "b", "c"))


def test_a_chain_is_undone_backwards() -> None:
    ledger = settled(*CHAIN)
    seen = []
    while ledger.open():
        (name,) = ledger.ready()
        seen.append(name)
        ledger = undo(ledger, name)
    assert seen == ["c", "b", "a"]


def test_independent_undos_are_ready_together_newest_first() -> None:
    ledger = undo(settled(*DIAMOND), "d")
    assert ledger.ready() == ["c", "b"]
    assert undo(ledger, "b").ready() == ["c"]
    assert undo(ledger, "b", "c").ready() == ["a"]


def test_sequential_is_one_by_one_newest_start_first() -> None:
    ledger = settled(entry("a"), entry("b"), entry("c"))
    assert ledger.ready(sequential=True) == ["c"]
    running = ledger.begin("c")
    assert running.ready(sequential=True) == []
    assert running.ready() == ["b", "a"]
    assert running.finish("c").ready(sequential=True) == ["b"]


def test_sequential_waits_for_an_armed_call_and_stops_at_a_stuck_undo() -> None:
    assert armed(entry("a")).settle("a").arm(entry("b")).ready(sequential=True) == []
    stuck = settled(entry("a"), entry("b")).begin("b").fail("b", "no")
    assert stuck.ready(sequential=True) == []
    assert stuck.ready() == ["a"]


def test_a_stuck_undo_holds_back_only_what_is_ordered_after_it() -> None:
    ledger = undo(settled(*DIAMOND, entry("e")), "d").begin("c").fail("c", "no")
    assert ledger.ready() == ["e", "b"]
    ledger = undo(ledger, "b", "e")
    assert ledger.ready() == []
    assert ledger.open() == ["c", "a"]


def test_the_order_stays_where_a_call_in_between_never_happened() -> None:
    ledger = armed(*CHAIN).settle("a").void("b").settle("c")
    assert ledger.ready() == ["c"]
    with pytest.raises(LedgerError, match=r"the undo of a must wait for \['c'\]"):
        ledger.begin("a")
    assert ledger["c"].depends_on == {"a", "b"}


def test_an_entry_that_is_still_armed_holds_back_what_it_builds_on() -> None:
    ledger = armed(*CHAIN).settle("a").settle("b")
    assert ledger.ready() == []
    assert ledger.void("c").ready() == ["b"]


def test_nothing_is_built_on_what_is_being_undone() -> None:
    running = settled(entry("a")).begin("a")
    with pytest.raises(LedgerError, match=r"b depends on \['a'\], whose undo has begun"):
        running.arm(entry("b", "a"))
    with pytest.raises(LedgerError, match="whose undo has begun"):
        running.fail("a", "no").arm(entry("b", "a"))
    assert "b" in running.finish("a").arm(entry("b", "a"))


def test_a_part_is_undone_by_itself() -> None:
    ledger = settled(*DIAMOND, entry("e"))
    part = ledger.dependents(["b"])
    assert part == {"b", "d"}
    assert ledger.ready(within=part) == ["d"]
    ledger = undo(ledger, "d")
    assert ledger.ready(within=part) == ["b"]
    assert ledger.open(within=part) == ["b"]
    assert undo(ledger, "b").open(within=part) == []
    assert undo(ledger, "b").open() == ["e", "c", "a"]


def test_what_a_call_gave_and_why_an_undo_failed_is_kept() -> None:
    ledger = (
        armed(entry("a", input={"x": 1}, before={"y": 2}))
        .settle("a", {"id": 3})
        .begin("a")
        .fail("a", "broken")
    )
    kept = ledger["a"]
    assert (kept.input, kept.before, kept.output, kept.error) == ({"x": 1}, {"y": 2}, {"id": 3}, "broken")
    assert (kept.state, kept.attempts) == (EntryState.STUCK, 1)


def test_it_is_a_value() -> None:
    before = settled(*CHAIN)
    after = before.begin("c")
    assert before["c"].state is EntryState.SETTLED
    assert after["c"].state is EntryState.UNDOING
    with pytest.raises(TypeError):
        before.entries["x"] = entry("x")  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        before["c"].state = EntryState.UNDONE  # type: ignore[misc]
    assert [item.id for item in before] == ["a", "b", "c"]
    assert "a" in before
    assert "z" not in before


def test_entries_are_found_by_what_they_belong_to() -> None:
    assert settled(*DIAMOND).of(lambda item: item.step in "bd") == {"b", "d"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda ledger: ledger.arm(entry("a")), "a is in the ledger already"),
        (
            lambda ledger: ledger.arm(entry("x", "nope")),
            r"x depends on \['nope'\], which the ledger does not know",
        ),
        (lambda ledger: ledger.arm(entry("x", "x")), "which the ledger does not know"),
        (lambda ledger: ledger.arm(replace(entry("x"), state=EntryState.SETTLED)), "x must be armed first"),
        (lambda ledger: ledger.settle("nope"), "nope is not in the ledger"),
        (lambda ledger: ledger.void("nope"), "nope is not in the ledger"),
        (lambda ledger: ledger.begin("nope"), "nope is not in the ledger"),
        (lambda ledger: ledger.finish("nope"), "nope is not in the ledger"),
        (lambda ledger: ledger.fail("nope", "no"), "nope is not in the ledger"),
        (lambda ledger: ledger.begin("a"), "a is armed; only settled may become undoing"),
        (lambda ledger: ledger.finish("a"), "a is armed; only undoing may become undone"),
        (lambda ledger: ledger.settle("b"), "b is settled; only armed may become settled"),
        (lambda ledger: ledger.void("b"), "b is settled; only armed may become void"),
        (lambda ledger: ledger.begin("c"), "c is undone; only settled may become undoing"),
        (lambda ledger: ledger.fail("c", "no"), "c is undone; only undoing may become stuck"),
        (lambda ledger: ledger.begin("s"), "s is stuck; only settled may become undoing"),
        (lambda ledger: ledger.settle("v"), "v is void; only armed may become settled"),
    ],
)
def test_an_illegal_move_changes_nothing(wrong: Callable[[Ledger], Ledger], message: str) -> None:
    ledger = undo(
        armed(*(entry(name) for name in "abcsv")).settle("b").settle("c").settle("s").void("v"), "c"
    )
    ledger = ledger.begin("s").fail("s", "no")
    before = dict(ledger.entries)
    with pytest.raises(LedgerError, match=message):
        wrong(ledger)
    assert dict(ledger.entries) == before


ENDED = {EntryState.VOID, EntryState.UNDONE}
MOVES = ("settle", "void", "begin", "finish", "fail")


class LedgerMachine(RuleBasedStateMachine):
    """Plays any order of events against a second, plainer account of what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.states: dict[str, EntryState] = {}
        self.above: dict[str, set[str]] = {}
        self.undone: list[str] = []
        self.undone_before: dict[str, set[str]] = {}
        self.begun: list[str] = []
        self.sequential = False

    @initialize(sequential=st.booleans())
    def choose(self, sequential: bool) -> None:
        self.sequential = sequential

    def name(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from([*self.states, "unknown"]), "entry")

    def built_on(self, name: str) -> set[str]:
        """All entries that depend on `name`, directly or not, by the edges as they were given."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            below = waiting.pop()
            for other, needs in self.above.items():
                if below in needs and other not in found:
                    found.add(other)
                    waiting.append(other)
        return found

    def blocked(self, name: str) -> bool:
        return any(self.states[other] not in ENDED for other in self.built_on(name))

    def expected_ready(self, names: Iterable[str]) -> list[str]:
        newest_first = [name for name in reversed(list(self.states)) if name in set(names)]
        if self.sequential:
            newest_first = [name for name in newest_first if self.states[name] not in ENDED][:1]
        free = [name for name in newest_first if not self.blocked(name)]
        return [name for name in free if self.states[name] is EntryState.SETTLED]

    @rule(data=st.data())
    def arm(self, data: st.DataObject) -> None:
        needs = data.draw(st.sets(st.sampled_from([*self.states, "unknown"]), max_size=4), "depends on")
        name = f"e{len(self.states)}"
        reached = set(needs)
        for need in needs:
            reached |= {other for other in self.states if need in self.built_on(other)}
        legal = "unknown" not in needs and not any(
            self.states[need] in (EntryState.UNDOING, EntryState.STUCK) for need in reached
        )
        try:
            ledger = self.ledger.arm(entry(name, *needs))
        except LedgerError:
            assert not legal
            return
        assert legal
        self.ledger, self.states[name], self.above[name] = ledger, EntryState.ARMED, needs
        self.undone_before[name] = set(self.undone)

    @rule(data=st.data(), move=st.sampled_from(MOVES))
    def any_move(self, data: st.DataObject, move: str) -> None:
        name = self.name(data)
        state = self.states.get(name)
        source, target = {
            "settle": (EntryState.ARMED, EntryState.SETTLED),
            "void": (EntryState.ARMED, EntryState.VOID),
            "begin": (EntryState.SETTLED, EntryState.UNDOING),
            "finish": (EntryState.UNDOING, EntryState.UNDONE),
            "fail": (EntryState.UNDOING, EntryState.STUCK),
        }[move]
        legal = state is source and not (move == "begin" and self.blocked(name))
        arguments = ("it broke",) if move == "fail" else ()
        before = dict(self.ledger.entries)
        try:
            ledger = getattr(self.ledger, move)(name, *arguments)
        except LedgerError:
            assert not legal
            assert dict(self.ledger.entries) == before
            return
        assert legal
        self.note(move, name, ledger, target)

    def note(self, move: str, name: str, ledger: Ledger, target: EntryState) -> None:
        if move == "begin":
            assert not self.blocked(name)
            assert name not in self.begun
            self.begun.append(name)
        if move == "finish":
            self.undone.append(name)
        self.ledger, self.states[name] = ledger, target

    @precondition(lambda self: self.states)
    @rule(data=st.data())
    def begin_what_is_ready(self, data: st.DataObject) -> None:
        ready = self.ledger.ready(sequential=self.sequential)
        if ready:
            name = data.draw(st.sampled_from(ready), "ready")
            self.note("begin", name, self.ledger.begin(name), EntryState.UNDOING)

    @invariant()
    def states_and_order_of_start_are_as_played(self) -> None:
        assert [(item.id, item.state) for item in self.ledger] == list(self.states.items())

    @invariant()
    def what_is_left_is_listed(self) -> None:
        left = [name for name in reversed(list(self.states)) if self.states[name] not in ENDED]
        assert self.ledger.open() == left

    @invariant()
    def what_may_begin_is_ready_and_nothing_else(self) -> None:
        assert self.ledger.ready(sequential=self.sequential) == self.expected_ready(self.states)

    @precondition(lambda self: self.states)
    @invariant()
    def a_closed_part_is_undone_by_itself(self) -> None:
        first = next(iter(self.states))
        part = self.ledger.dependents([first])
        assert part == {first, *self.built_on(first)}
        assert self.ledger.ready(within=part, sequential=self.sequential) == self.expected_ready(part)
        assert set(self.ledger.open(within=part)) == {n for n in part if self.states[n] not in ENDED}

    @invariant()
    def there_is_progress(self) -> None:
        states = set(self.states.values())
        if states & {EntryState.ARMED, EntryState.STUCK} or not states - ENDED:
            return
        assert self.ledger.ready(sequential=self.sequential) or EntryState.UNDOING in states

    def teardown(self) -> None:
        """Ends what is under way and undoes all the rest."""
        ledger = self.ledger
        for name, state in self.states.items():
            if state is EntryState.ARMED:
                ledger = ledger.settle(name)
            elif state is EntryState.UNDOING:
                ledger = ledger.finish(name)
                self.undone.append(name)
        while ready := ledger.ready(sequential=self.sequential):
            ledger = ledger.begin(ready[-1]).finish(ready[-1])
            self.undone.append(ready[-1])
        assert len(self.undone) == len(set(self.undone))
        stuck = {item.id for item in ledger if item.state is EntryState.STUCK}
        if not stuck:
            assert ledger.open() == []
        elif not self.sequential:
            assert all(name in stuck or self.built_on(name) & stuck for name in ledger.open())
        for name in self.undone:
            assert ledger[name].state is EntryState.UNDONE
            later = {o for o in self.built_on(name) if o in self.undone and name not in self.undone_before[o]}
            assert all(self.undone.index(other) < self.undone.index(name) for other in later)


LedgerMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
TestLedgerMachine = LedgerMachine.TestCase
