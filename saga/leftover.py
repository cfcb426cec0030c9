"""What the runs of one task have left behind, and what became of each of its effects.

The runs of a chain (reset, retried, continued) and its recoveries are judged together: a call has the same
key in all of them, and whatever happened last to the key is what counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from temporalio.exceptions import ActivityError

from .call_failure import may_land_for, read_failure
from .effect import Effect
from .trail import Recorded, Trail
from .wire import GRACE


@dataclass(frozen=True, slots=True)
class Act:
    """What one run has done about one entry of the ledger: one call, or the model calls of an agent.

    Attributes:
        id: The entry's id.
        key: Its idempotency key.
        compensation: What undoes it; None for a pivot.
        calls: At least one, in the order in which they were scheduled.
        before: What was read before it, or None.
        trail: The run.
    """

    id: str
    key: str
    compensation: str | None
    calls: Sequence[Recorded]
    before: Recorded | None
    trail: Trail

    @property
    def is_agent(self) -> bool:
        """Whether its calls are those of a model."""
        return self.calls[0].header.owner is not None

    @property
    def scheduled(self) -> datetime:
        """When it began."""
        return self.calls[0].scheduled

    @property
    def ended(self) -> datetime | None:
        """When it ended; None where nobody knows."""
        return self.calls[-1].ended

    @property
    def succeeded(self) -> bool:
        """Whether it is known to have happened."""
        return self.calls[-1].succeeded

    def changed_nothing(self) -> bool:
        """Says whether it is certain that nothing has happened."""
        return len(self.calls) == 1 and _changed_nothing(self.calls[0])

    def may_land_until(self) -> datetime | None:
        """Returns until when it may still change something, or None."""
        return None if self.is_agent else _may_land_until(self.calls[0], self.trail)


@dataclass(frozen=True, slots=True)
class Leftover:
    """An effect that stands, or may, and has to be undone.

    Attributes:
        acts: What was done under its key since it was last undone, oldest first.
        may_land_until: Until when it, or an undo that was under way, may still change something.
        is_skipped: Whether a person has said that it stays as it is.
    """

    acts: Sequence[Act]
    may_land_until: datetime | None
    is_skipped: bool

    @property
    def newest(self) -> Act:
        """What was done last."""
        return self.acts[-1]

    @property
    def id(self) -> str:
        """The entry's id."""
        return self.newest.id

    @property
    def step(self) -> str:
        """The id of the step."""
        return self.newest.calls[0].step

    @property
    def started(self) -> datetime:
        """When the effect may have come about first."""
        return self.acts[0].scheduled

    @property
    def ended(self) -> datetime | None:
        """From when on others may have built on it; None where nothing has."""
        ends = [act.ended for act in self.acts if act.ended is not None]
        return min(ends, default=None)

    @property
    def known(self) -> Act | None:
        """What was done last and is known to have happened: its output is that of the effect."""
        return next((act for act in reversed(self.acts) if act.succeeded), None)

    @property
    def before(self) -> Recorded | None:
        """What was read before the effect came about; what was read later may have seen it."""
        return next((act.before for act in self.acts if act.before is not None), None)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a person has said, decoded.

    Attributes:
        at: When.
        action: As in the update ``resolve``.
        step: The step that was named.
        undos: Ids of the ledger entries that it was about.
    """

    at: datetime
    action: str
    step: str
    undos: frozenset[str]


@dataclass(frozen=True, slots=True)
class Leftovers:
    """All that a chain of runs has left behind.

    Attributes:
        entries: What has to be undone, newest start first: an order in which it always may be undone.
        skipped: What people have said is to stay.
        pivots: Points of no return that were passed, or may have been.
        undone: How many effects are undone already.
    """

    entries: Sequence[Leftover]
    skipped: Sequence[Leftover]
    pivots: Sequence[Leftover]
    undone: int


def left_behind(trails: Iterable[Trail], resolved: Mapping[str, Sequence[Resolved]] = {}) -> Leftovers:
    """Judges the runs of one chain together.

    Args:
        trails: All of them, with the recoveries; the errors of their failed calls are decoded, or count as
            telling nothing.
        resolved: What people have said, by run id.

    Returns:
        What is left.
    """
    trails = list(trails)
    by_key: dict[str, list[Act]] = {}
    for trail in trails:
        for act in _acts(trail):
            by_key.setdefault(act.key, []).append(act)
    undos: dict[str, list[tuple[Recorded, Trail]]] = {}
    for trail in trails:
        for undo in trail.undos:
            undos.setdefault(undo.header.key, []).append((undo, trail))
    said = _said(trails, resolved)
    found = [_judge(acts, undos.get(key, ()), said.get(key, ())) for key, acts in by_key.items()]
    left = sorted((item for item in found if item is not None), key=lambda item: item.started, reverse=True)
    return Leftovers(
        entries=[item for item in left if item.newest.compensation is not None and not item.is_skipped],
        skipped=[item for item in left if item.newest.compensation is not None and item.is_skipped],
        pivots=[item for item in left if item.newest.compensation is None],
        undone=sum(1 for key in by_key if any(undo.succeeded for undo, _ in undos.get(key, ()))),
    )


def _acts(trail: Trail) -> Iterator[Act]:
    """Finds what one run has done and has not been kept by a saga that ended well."""
    # A reset takes back that a run has ended well.
    kept = max(trail.kept, default=None) if not trail.superseded else None
    for call in trail.forward.values():
        if kept is None or call.scheduled > kept:
            before = trail.before.get(call.id)
            yield Act(call.id, call.header.key, call.header.compensation, [call], before, trail)
    for calls in trail.by_agent.values():
        owner = calls[0].header.owner
        assert owner is not None
        if kept is None or calls[0].scheduled > kept:
            yield Act(owner.id, owner.key, owner.compensation, calls, None, trail)


def _judge(
    acts: Sequence[Act], undos: Sequence[tuple[Recorded, Trail]], said: Sequence[Resolved]
) -> Leftover | None:
    undone = [undo.ended for undo, _ in undos if undo.succeeded and undo.ended is not None]
    undone += [word.at for word in said if word.action in ("done", "not_applied")]
    last = max(undone, default=None)
    live = [act for act in acts if last is None or act.scheduled > last]
    live = sorted((act for act in live if not act.changed_nothing()), key=lambda act: act.scheduled)
    if not live:
        return None
    landing = [act.may_land_until() for act in live]
    landing += [_may_land_until(undo, trail) for undo, trail in undos if not undo.succeeded]
    skipped = [word.at for word in said if word.action == "skip"]
    return Leftover(
        acts=live,
        may_land_until=max((at for at in landing if at is not None), default=None),
        is_skipped=max(skipped, default=live[-1].scheduled) > live[-1].scheduled,
    )


def _said(trails: Sequence[Trail], resolved: Mapping[str, Sequence[Resolved]]) -> dict[str, list[Resolved]]:
    """Sorts what people have said by the keys that it is about."""
    said: dict[str, list[Resolved]] = {}
    for trail in trails:
        keys = {undo.forward_id: undo.header.key for undo in trail.undos}
        pivots = [call for call in trail.forward.values() if call.header.effect is Effect.PIVOT]
        for word in resolved.get(trail.run_id, ()):
            about = [keys[entry_id] for entry_id in word.undos if entry_id in keys]
            about += [call.header.key for call in pivots if call.step == word.step]
            for key in about:
                said.setdefault(key, []).append(word)
    return said


def _changed_nothing(call: Recorded) -> bool:
    if call.error is None:
        return False
    return read_failure(call, _as_seen(call, call.error), None).certainly_nothing


def _may_land_until(call: Recorded, trail: Trail) -> datetime | None:
    if call.succeeded:
        return None
    if call.ended is None:
        # Nothing tells whether it had started, or when: only the end of the run bounds it.
        return None if trail.closed is None else trail.closed + call.timeout + GRACE
    if call.failure is not None and call.failure.HasField("reset_workflow_failure_info"):
        return call.ended + call.timeout + GRACE  # given up by a reset, wherever it was
    wait = None if call.error is None else may_land_for(call, _as_seen(call, call.error))
    return None if wait is None else call.ended + wait


def _as_seen(call: Recorded, cause: BaseException) -> ActivityError:
    """Returns the failure of a call as the workflow saw it."""
    error = ActivityError(
        "",
        scheduled_event_id=0,
        started_event_id=call.started_event,
        identity="",
        activity_type=call.activity,
        activity_id=call.id,
        retry_state=None,
    )
    error.__cause__ = cause
    return error
