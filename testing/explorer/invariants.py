"""Checks what must hold after every run, whatever was broken in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ...saga.ledger.call_id import CallId
from ...saga.spec.graph import every_step
from ...saga.spec.task_spec import TaskSpec
from .effect_ledger import Visit
from .fault import FaultKind, Role, undo_of
from .given_up import GivenUp
from .trial import Trial
from .undo_order import must_wait


class Invariant(StrEnum):
    """What must hold after a run."""

    ORPHAN = "orphaned effect"
    """The task is undone, and an effect stands."""
    DOUBLE = "double undo"
    """An undo ran again after it had answered, or the world says that it undid more than there was."""
    EARLY = "early undo"
    """An undo began before its call had settled, or the call took effect after its undo."""
    ORDER = "order violation"
    """An undo began before that of a call which had built on it was over."""
    STUCK = "stuck"
    """The task did not end, or an undo that nobody broke fails."""
    DISAGREEMENT = "disagreement"
    """The board says something else than the effect ledger."""
    LOST = "lost effect"
    """The task completed, and an effect of it does not stand."""
    REPEATED = "repeated effect"
    """Two effects of one idempotency key stand."""
    SWALLOWED = "swallowed cancel"
    """The task was cancelled in time, and completed."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One invariant that did not hold.

    Attributes:
        invariant: Which one.
        message: What happened, one sentence.
    """

    invariant: Invariant
    message: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.message}"


_UNANSWERED: Final = frozenset(
    {
        FaultKind.FAIL_AFTER,
        FaultKind.FAIL_TWICE,
        FaultKind.HANG,
        FaultKind.GARBAGE,
        FaultKind.KILL_AFTER,
    }
)


def check_trial(trial: Trial, spec: TaskSpec, told: frozenset[str] = frozenset()) -> list[Violation]:
    """Checks one run.

    Args:
        trial: The result of the run.
        spec: The task.
        told: The calls whose keys the user's own function returned after a run without faults.

    Returns:
        The violations; empty if all is well.
    """
    if trial.state == "running":
        return [Violation(Invariant.STUCK, "the task was still running when its time was up")]
    if not trial.board:
        return [Violation(Invariant.STUCK, "the task has ended, and no worker could tell its board")]
    return list(_Check(trial, spec, told).run())


def keys_told(trial: Trial) -> frozenset[str]:
    """Returns the calls of a run, as ``PATH#ROUND``, whose keys stand in the user's world."""
    return frozenset(visit.point for visit in trial.visits if trial.after[visit.key])


class _Check:
    def __init__(self, trial: Trial, spec: TaskSpec, told: frozenset[str]) -> None:
        self._trial = trial
        self._told = told
        self._spec = spec
        self._entries: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in trial.board["ledger"]}
        self._before = _closed(trial.board["ledger"])
        self._given_up = GivenUp(trial.board)
        self._calls: dict[str, list[Visit]] = {}
        self._undos: dict[str, list[Visit]] = {}
        """By idempotency key."""
        for visit in trial.visits:
            if visit.role is Role.UNDO:
                self._undos.setdefault(visit.key, []).append(visit)
            elif visit.compensation is not None:
                self._calls.setdefault(visit.point, []).append(visit)
        keys = {undo_of(call): visits[0].key for call, visits in self._calls.items()}
        # An agent's entry has no call of its own, so its undo tells the key.
        self._keys = {visit.point: visit.key for visit in trial.visits if visit.role is Role.UNDO} | keys

    def run(self) -> Iterator[Violation]:
        yield from self._board()
        yield from self._settled_first()
        yield from self._once()
        yield from self._order()
        yield from self._stuck()
        match self._trial.state:
            case "completed":
                yield from self._completed()
            case "rolled_back" | "cancelled":
                yield from self._undone(self._trial.by_hand)
            case "rollback_incomplete":
                yield from self._undone(self._excused())
            case state:
                yield Violation(Invariant.STUCK, f"the task has ended, and its board says {state}")
        yield from self._world()

    # --- board and effect ledger

    def _board(self) -> Iterator[Violation]:
        for call in self._calls:
            if call not in self._entries and not self._is_in_child(call):
                yield Violation(Invariant.DISAGREEMENT, f"{call} is not in the board's ledger")
        for entry_id, entry in self._entries.items():
            undone = any(map(self._has_answered, self._undos_of(entry_id)))
            state = entry["state"]
            if state == "undone" and not undone and entry_id not in self._trial.by_hand:
                yield Violation(
                    Invariant.DISAGREEMENT,
                    f"the board says that {entry_id} is undone, and its undo never ended",
                )
            if state != "undone" and undone:
                yield Violation(
                    Invariant.DISAGREEMENT, f"the undo of {entry_id} has ended, and the board says {state}"
                )
            if state == "void" and any(map(_may_have_landed, self._calls.get(entry_id, ()))):
                yield Violation(
                    Invariant.DISAGREEMENT, f"the board says that {entry_id} never happened, and it did"
                )
            if state in ("armed", "undoing"):
                yield Violation(
                    Invariant.DISAGREEMENT, f"the task has ended, and {entry_id} is still {state}"
                )

    # --- when, and how often

    def _settled_first(self) -> Iterator[Violation]:
        for call, visits in self._calls.items():
            begins = [undo.entered for undo in self._undos_of(call) if undo.entered is not None]
            if not begins:
                continue
            for visit in visits:
                if visit.role is Role.READ:
                    continue  # a cancel ends it at once, and what it still does changes nothing
                if visit.ended is not None and visit.ended > min(begins) and visit.outcome == "done":
                    yield Violation(
                        Invariant.EARLY,
                        f"attempt {visit.attempt} of {call} took effect after its undo had begun",
                    )

    def _once(self) -> Iterator[Violation]:
        for undos in self._undos.values():
            for index, first in enumerate(undos):
                # The same activity with a higher attempt: its answer was lost on the way to the server.
                again = [
                    undo
                    for undo in undos[index + 1 :]
                    if undo.entered is not None
                    and (undo.point != first.point or undo.attempt <= first.attempt)
                ]
                if self._has_answered(first) and again:
                    yield Violation(Invariant.DOUBLE, f"{first.point} had answered, and {again[0].point} ran")
                    break

    def _order(self) -> Iterator[Violation]:
        for earlier in self._entries:
            first = self._undos_of(earlier)
            if not first:
                continue
            for later in self._entries:
                last = self._undos_of(later)
                if not last or later == earlier:
                    continue
                begin = min(undo.began for undo in first)
                if self._began(later) > begin:
                    continue  # a step was skipped and undone, and this one went on without it
                depends = earlier in self._before[later] or must_wait(self._spec, earlier, later)
                if depends and begin < max((undo.ended or undo.began) for undo in last):
                    yield Violation(
                        Invariant.ORDER,
                        f"the undo of {earlier} began before that of {later}, which builds on it, was over",
                    )

    def _began(self, entry_id: str) -> int:
        """Returns when the first call of an entry began; for an agent, the first call inside of it."""
        path, _, round_ = entry_id.rpartition("#")
        calls = [visit for visit in self._trial.visits if visit.role is not Role.UNDO]
        inside = [v for v in calls if v.point == entry_id or v.point.startswith(f"{path}/")]
        # A step that is repeated has the same path; what it did the first time is of another round.
        own = [visit.began for visit in inside if visit.point.endswith(f"#{round_}")]
        return min(own or [visit.began for visit in inside], default=0)

    def _stuck(self) -> Iterator[Violation]:
        fault = self._trial.fault
        for entry in self._trial.by_hand:
            if fault is None or fault.kind is not FaultKind.FAIL_EVER or fault.point != undo_of(entry):
                yield Violation(Invariant.STUCK, f"nobody broke the undo of {entry}, and it fails")

    # --- what stands

    def _undone(self, excused: frozenset[str]) -> Iterator[Violation]:
        for call, visits in self._calls.items():
            if call in excused or not any(map(_may_have_landed, visits)):
                continue
            if not self._was_undone(call):
                yield Violation(
                    Invariant.ORPHAN, f"{call} ({visits[0].activity}) stands, and was never undone"
                )

    def _excused(self) -> frozenset[str]:
        """Returns the entries whose undo was broken, and those that had to wait for them."""
        fault = self._trial.fault
        if fault is None or fault.kind is not FaultKind.FAIL_EVER:
            return frozenset()
        broken = {entry for entry in self._entries if undo_of(entry) == fault.point}
        return frozenset(broken.union(*(self._before[entry] for entry in broken)))

    def _completed(self) -> Iterator[Violation]:
        fault = self._trial.fault
        if fault is not None and fault.kind is FaultKind.CANCEL and not self._was_committed():
            yield Violation(Invariant.SWALLOWED, f"it was cancelled while {fault.point} ran, and completed")
        for call, visits in self._calls.items():
            answered = any(map(self._has_answered, visits))
            undone = self._was_undone(call)
            if call in self._given_up:
                if not undone and call not in self._trial.by_hand and any(map(_may_have_landed, visits)):
                    message = f"the task completed, {call} was given up by its team, and was not undone"
                    yield Violation(Invariant.ORPHAN, message)
                continue
            if answered and undone and not self._may_be_given_up(call):
                yield Violation(Invariant.LOST, f"the task completed, and {call} was undone")
            if not undone and not answered and any(map(_may_have_landed, visits)):
                yield Violation(
                    Invariant.ORPHAN,
                    f"the task completed, {call} failed after its effect, and was not undone",
                )

    def _world(self) -> Iterator[Violation]:
        """Compares with what the user's own function says."""
        trial = self._trial
        if not trial.asked:
            return
        keys = {visit.key: call for call, visits in self._calls.items() for visit in visits}
        excused = trial.by_hand | self._excused()
        if trial.state == "completed" or excused:
            yield from self._keys_in_the_world(keys, excused)
            return
        for item, count in (trial.after - trial.before).items():
            what = keys.get(item, item)
            yield Violation(Invariant.ORPHAN, f"the world has {count} x {what}, which was not there before")
        for item, count in (trial.before - trial.after).items():
            yield Violation(
                Invariant.DOUBLE, f"the world lacks {count} x {item}, which was there before: undone too much"
            )

    def _keys_in_the_world(self, keys: dict[str, str], excused: frozenset[str]) -> Iterator[Violation]:
        """Where the user's function answers with idempotency keys, each effect can be told."""
        after = self._trial.after
        for key, call in keys.items():
            undone = self._was_undone(call)
            stands = any(map(_may_have_landed, self._calls[call])) and not undone
            if after[key] > 1:
                yield Violation(Invariant.REPEATED, f"{call} stands {after[key]} times in the world")
            elif after[key] and undone and call not in excused:
                yield Violation(Invariant.ORPHAN, f"{call} was undone, and the world still has it")
            elif not after[key] and stands and call in self._told and self._trial.state == "completed":
                yield Violation(Invariant.LOST, f"the task completed, and the world lacks {call}")

    # --- what is known of one call, and of one attempt

    def _undos_of(self, call: str) -> list[Visit]:
        return self._undos.get(self._keys.get(undo_of(call), ""), [])

    def _is_in_child(self, call: str) -> bool:
        """Says whether a call belongs to a child workflow: one that did not complete has undone itself."""
        return any(call.startswith(CallId.parse(entry).in_child("")) for entry in self._entries)

    def _was_undone(self, call: str) -> bool:
        return any(undo.outcome == "done" for undo in self._undos_of(call))

    def _has_answered(self, visit: Visit) -> bool:
        """Returns whether the answer of an attempt has reached the server."""
        if visit.outcome != "done":
            return False
        fault = self._trial.fault
        return not (visit.faulty and fault is not None and fault.kind in _UNANSWERED)

    def _may_be_given_up(self, call: str) -> bool:
        """Says whether a step around a call is skipped, or done by a fallback, when something in it fails."""
        path = CallId.parse(call).step_ids
        return any(
            trouble != "rollback"
            for step in every_step(self._spec.steps)
            if step.id in path
            for trouble in step.troubles
        )

    def _was_committed(self) -> bool:
        """Returns whether the cancel came too late: a call without an undo, e.g. a pivot, had begun."""
        broken = next((visit.began for visit in self._trial.visits if visit.faulty), 0)
        return any(
            visit.role is Role.EFFECT and visit.compensation is None and visit.began <= broken
            for visit in self._trial.visits
        )


def _may_have_landed(visit: Visit) -> bool:
    return visit.entered is not None and visit.outcome != "refused"


def _closed(ledger: Sequence[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """Returns by entry all that it depends on; the ledger names each entry after those."""
    found: dict[str, frozenset[str]] = {}
    for entry in ledger:
        needs = frozenset(entry["depends_on"])
        found[entry["id"]] = needs.union(*(found.get(need, frozenset()) for need in needs))
    return found
