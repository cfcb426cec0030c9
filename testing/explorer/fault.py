"""What the fault explorer breaks: in each run, one point of a task in one way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ...saga.calls.headers import CallHeader
from ...saga.effect import Effect
from ...saga.ledger.call_id import CallId


class FaultKind(StrEnum):
    """A way in which one call or one undo goes wrong."""

    FAIL_BEFORE = "fail before"
    """Every attempt of a call fails before the user's function runs."""
    FAIL_AFTER = "fail after"
    """Every attempt has its effect, and fails then."""
    HANG = "hang"
    """Every attempt is silent until its timeout has passed, and has its effect then."""
    GARBAGE = "garbage"
    """The function has its effect and returns a value of a wrong type; a model answers nonsense."""
    CANCEL = "cancel"
    """The task is cancelled while the call, or the undo, runs; its effect comes after the cancel."""
    KILL_BEFORE = "kill before"
    """The worker's process is killed (SIGKILL) before the function runs; another one goes on."""
    KILL_AFTER = "kill after"
    """The worker's process is killed between the effect and the answer."""
    FAIL_TWICE = "fail twice"
    """An undo fails before its effect, then after it, and works the third time."""
    FAIL_EVER = "fail for ever"
    """Every attempt of an undo fails before its effect, until somebody says that it was done by hand."""

    @property
    def kills(self) -> bool:
        """Whether it kills the process of a worker."""
        return self in (FaultKind.KILL_BEFORE, FaultKind.KILL_AFTER)


class Role(StrEnum):
    """What a point of a task is."""

    READ = "read"
    """A call that changes nothing, so it cannot be broken after its effect."""
    EFFECT = "effect"
    """A call that changes something."""
    UNDO = "undo"
    """A compensation."""


_ON_READ = (FaultKind.FAIL_BEFORE, FaultKind.HANG, FaultKind.GARBAGE, FaultKind.CANCEL, FaultKind.KILL_BEFORE)
_APPLICABLE: Final = {
    Role.READ: frozenset(_ON_READ),
    Role.EFFECT: frozenset({*_ON_READ, FaultKind.FAIL_AFTER, FaultKind.KILL_AFTER}),
    Role.UNDO: frozenset(
        {
            FaultKind.CANCEL,
            FaultKind.KILL_BEFORE,
            FaultKind.KILL_AFTER,
            FaultKind.FAIL_TWICE,
            FaultKind.FAIL_EVER,
        }
    ),
}


def role_of(header: CallHeader) -> Role:
    """Says what the activity with this header is."""
    if header.effect is None:
        return Role.UNDO
    return Role.READ if header.effect is Effect.READ_ONLY else Role.EFFECT


@dataclass(frozen=True, slots=True)
class Point:
    """One place of a task where something can break.

    Attributes:
        id: The activity id: ``PATH#ROUND`` of a call, ``PATH/undo#ROUND`` of an undo.
        activity: The activity type.
        role: What it is.
    """

    id: str
    activity: str
    role: Role

    def can(self, kind: FaultKind) -> bool:
        """Says whether a kind of fault can happen here."""
        return kind in _APPLICABLE[self.role]


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """What is broken in one run.

    Attributes:
        point: The activity id.
        kind: How it is broken.
    """

    point: str
    kind: FaultKind

    def __str__(self) -> str:
        return f"{self.point} {self.kind}"


def undo_of(call_id: str) -> str:
    """Returns the activity id of the undo of a call."""
    return str(CallId.parse(call_id).undo)
