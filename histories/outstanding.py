"""What the runs of one task have left behind, and what became of each of its effects.

The runs of a chain (reset, retried, continued) and its recoveries are judged together: a call has the same
key in all of them, and whatever happened last to the key is what counts. What a completed child has handed
over, and the ledger that a continued run was given, are parts of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..saga.effect import Effect
from ..saga.history_format import RECOVER_CHILD
from .recorded_call import RecordedCall
from .recorded_effect import RecordedEffect, effects_of, may_land_until
from .run_history import RunHistory


@dataclass(frozen=True, slots=True)
class OutstandingEffect:
    """An effect that stands, or may, and has to be undone.

    Attributes:
        effects: What was done under its key since it was last undone, oldest first.
        may_land_until: Until when it, or an undo that was under way, may still change something.
        is_skipped: Whether a person has said that it stays as it is.
    """

    effects: Sequence[RecordedEffect]
    may_land_until: datetime | None
    is_skipped: bool

    @property
    def newest(self) -> RecordedEffect:
        """What was done last."""
        return self.effects[-1]

    @property
    def id(self) -> str:
        """The entry's id."""
        return self.newest.id

    @property
    def step(self) -> str:
        """The id of the step."""
        return self.newest.step

    @property
    def started(self) -> datetime:
        """When the effect may have come about first."""
        return self.effects[0].scheduled

    @property
    def place(self) -> tuple[datetime, int]:
        """Sorts effects in the order in which they may have come about."""
        return self.effects[0].scheduled, self.effects[0].position

    @property
    def ended(self) -> datetime | None:
        """From when on others may have built on it; None where nothing has."""
        ends = [effect.ended for effect in self.effects if effect.ended is not None]
        return min(ends, default=None)

    @property
    def known(self) -> RecordedEffect | None:
        """What was done last and is known to have happened: its output is that of the effect."""
        return next((effect for effect in reversed(self.effects) if effect.succeeded), None)

    @property
    def before(self) -> RecordedCall | None:
        """What was read before the effect came about; what was read later may have seen it."""
        return next((effect.before for effect in self.effects if effect.before is not None), None)


@dataclass(frozen=True, slots=True)
class DecodedResolution:
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
class PassedPivot:
    """A point of no return that was passed, or may have been.

    Attributes:
        step: The step; empty where only a run is known whose history is gone.
        is_known: Whether it certainly was.
    """

    step: str
    is_known: bool


@dataclass(frozen=True, slots=True)
class Outstanding:
    """All that a chain of runs has left behind.

    Attributes:
        entries: What has to be undone, newest start first: an order in which it always may be undone.
        skipped: What people have said is to stay.
        pivots: Points of no return that were passed, or may have been.
        undone: How many effects are undone already.
        unread: Steps and runs that may have left more, which cannot be decoded here.
    """

    entries: Sequence[OutstandingEffect]
    skipped: Sequence[OutstandingEffect]
    pivots: Sequence[PassedPivot]
    undone: int
    unread: Sequence[str]


def left_behind(
    histories: Iterable[RunHistory],
    resolved: Mapping[str, Sequence[DecodedResolution]] = {},
    *,
    whole: bool = False,
) -> Outstanding:
    """Judges the runs of one chain together.

    Args:
        histories: All of them, with the recoveries; what is not decoded of them counts as telling nothing.
        resolved: What people have said, by run id.
        whole: With what sagas have done that ended well: they belong to a child that is undone.

    Returns:
        What is left.
    """
    histories = list(histories)
    by_key: dict[str, list[RecordedEffect]] = {}
    for history in histories:
        for effect in effects_of(history, whole=whole):
            by_key.setdefault(effect.key, []).append(effect)
    undos: dict[str, list[tuple[RecordedCall, RunHistory]]] = {}
    for history in histories:
        for undo in history.undos:
            undos.setdefault(undo.header.key, []).append((undo, history))
    said = _said(histories, resolved)
    found = [_judge(effects, undos.get(key, ()), said.get(key, ())) for key, effects in by_key.items()]
    left = sorted((item for item in found if item is not None), key=lambda item: item.place, reverse=True)
    # A child that ran again under its key after a reset is recovered with all its runs.
    again = {item.newest.key for item in left}
    left = [item for item in left if item.newest.child_key not in again]
    to_undo = [item for item in left if item.newest.compensation is not None]
    return Outstanding(
        entries=[item for item in to_undo if not item.is_skipped],
        skipped=[item for item in to_undo if item.is_skipped],
        pivots=[*_passed(left), *_committed(histories)],
        undone=sum(1 for key, effects in by_key.items() if _undone_at(effects, undos.get(key, ()))),
        unread=_unread(histories),
    )


def _passed(left: Iterable[OutstandingEffect]) -> list[PassedPivot]:
    return [
        PassedPivot(item.step, item.known is not None) for item in left if item.newest.compensation is None
    ]


def _committed(histories: Iterable[RunHistory]) -> list[PassedPivot]:
    """Finds pivots that were passed elsewhere: in a child, or in a run that this one continues."""
    found = []
    for history in histories:
        handed = [child for child in history.children.values() if child.handed and child.handed.committed]
        found += [PassedPivot(child.header.step, True) for child in handed]
        if history.carried is not None and history.carried.committed:
            found.append(PassedPivot("", True))
    return found


def _unread(histories: Sequence[RunHistory]) -> list[str]:
    runs = {history.run_id for history in histories}
    found: list[str] = []
    for history in histories:
        found += [
            child.header.step
            for child in history.children.values()
            if child.ending == "completed" and child.handed is None
        ]
        if history.continues and history.carried is None and history.continues not in runs:
            found.append(f"runs before {history.run_id}")
    return list(dict.fromkeys(found))


def _undone_at(
    effects: Sequence[RecordedEffect], undos: Sequence[tuple[RecordedCall, RunHistory]]
) -> list[datetime]:
    undone = [undo.ended for undo, _ in undos if undo.succeeded and undo.ended is not None]
    return undone + [effect.scheduled for effect in effects if effect.is_undone]


def _judge(
    effects: Sequence[RecordedEffect],
    undos: Sequence[tuple[RecordedCall, RunHistory]],
    said: Sequence[DecodedResolution],
) -> OutstandingEffect | None:
    undone = _undone_at(effects, undos)
    undone += [word.at for word in said if word.action in ("done", "not_applied")]
    last = max(undone, default=None)
    live = [effect for effect in effects if last is None or _is_newer(effect, last)]
    live = sorted(
        (effect for effect in live if not effect.changed_nothing()), key=lambda effect: effect.scheduled
    )
    # What a continued run was told of a call is less than what the run tells that has made it.
    live = [effect for effect in live if not effect.is_carried] or live
    if not live:
        return None
    landing = [effect.may_land_until() for effect in live]
    # Two that recover one child at once are one: the second finds what the first has started.
    failed = [undo for undo in undos if not undo[0].succeeded and undo[0].activity != RECOVER_CHILD]
    landing += [may_land_until(undo, history) for undo, history in failed]
    skipped = [word.at for word in said if word.action == "skip"]
    skipped += [effect.scheduled for effect in effects if effect.is_skipped]
    return OutstandingEffect(
        effects=live,
        may_land_until=max((at for at in landing if at is not None), default=None),
        is_skipped=any(at >= live[-1].scheduled for at in skipped),
    )


def _is_newer(effect: RecordedEffect, undone: datetime) -> bool:
    """Says whether an effect was made, or made again after a reset that met it under way, after an undo."""
    return effect.scheduled > undone or (effect.ended is not None and effect.ended > undone)


def _said(
    histories: Sequence[RunHistory], resolved: Mapping[str, Sequence[DecodedResolution]]
) -> dict[str, list[DecodedResolution]]:
    """Sorts what people have said by the keys that it is about."""
    said: dict[str, list[DecodedResolution]] = {}
    for history in histories:
        keys = {undo.forward_id: undo.header.key for undo in history.undos}
        pivots = [call for call in history.forward.values() if call.header.effect is Effect.PIVOT]
        for word in resolved.get(history.run_id, ()):
            about = [keys[entry_id] for entry_id in word.undos if entry_id in keys]
            about += [call.header.key for call in pivots if call.step == word.step]
            for key in about:
                said.setdefault(key, []).append(word)
    return said
