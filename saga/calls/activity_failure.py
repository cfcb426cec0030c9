"""What the failure of an activity says about its call: why it failed, and what it may have changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutError, TimeoutType

from ..duration import format_duration
from ..errors import FailureType
from ..failure import Failed, Failure, Stopped, trim
from .timeouts_and_retries import GRACE

NOTHING_RAN = frozenset(
    {
        FailureType.INVALID_SPEC,
        FailureType.INVALID_INPUT,
        FailureType.UNKNOWN_TASK,
        FailureType.INLINE_SPECS_REFUSED,
        FailureType.LIMIT_REACHED,
    }
)
"""Failures of a task that has refused its start."""

NOTHING_HAPPENED = frozenset(
    {FailureType.NOT_APPLIED, FailureType.INVALID_INPUT, FailureType.UNKNOWN_ACTIVITY}
)
"""Failures that a worker reports before it has run the user's code, or that the code vouches for."""

_LEFT_ALONE = frozenset({FailureType.LIMIT_REACHED, FailureType.BREAKER_OPEN})
"""Failures of a call that the pool has no room for now; an attempt before may have done something."""


class Attempted(Protocol):
    """A call, as it is made or as a history tells of it.

    Attributes:
        step: The id of the step that it belongs to.
        activity: The activity type.
        timeout: The longest one attempt may take.
        heartbeat: After how long without a heartbeat the worker that runs it is taken for dead.
    """

    @property
    def step(self) -> str:
        """See the class."""

    @property
    def activity(self) -> str:
        """See the class."""

    @property
    def timeout(self) -> timedelta:
        """See the class."""

    @property
    def heartbeat(self) -> timedelta:
        """See the class."""


def read_failure(call: Attempted, error: ActivityError, stopped: str | None) -> Failed:
    """Says what the failure of an activity means for its call.

    Args:
        call: The call.
        error: How its last attempt ended.
        stopped: Why its scope was stopped, or None.

    Returns:
        The failure, and whether it is certain that the call changed nothing; `Stopped` where it was
        interrupted.
    """
    cause = error.cause
    if isinstance(cause, CancelledError):
        return Stopped(call.step, stopped or "interrupted", not_applied=False)
    if isinstance(cause, TimeoutError):
        failure = Failure(step=call.step, type=FailureType.TIMEOUT, message=_timeout_message(call, cause))
        never_started = cause.type == TimeoutType.SCHEDULE_TO_START and cause.cause is None
        return Failed(failure, not_applied=never_started and not error.started_event_id)
    if isinstance(cause, ApplicationError):
        type_ = cause.type or "Error"
        failure = Failure(step=call.step, type=type_, message=trim(cause.message))
        if type_ in _LEFT_ALONE and cause.details and "limit" in cause.details[0]:
            told = cause.details[0]
            made = told.get("attempt", 1) - 1
            return Failed(failure, not_applied=not made, until=told["until"], made=made)
        # An attempt before this one may have landed; only the first can vouch for the whole call.
        first = bool(cause.details) and cause.details[0] == {"attempt": 1}
        return Failed(failure, not_applied=type_ in NOTHING_HAPPENED and first)
    message = trim(str(cause or error))
    return Failed(Failure(step=call.step, type=type(cause or error).__name__, message=message))


def may_land_for(call: Attempted, error: ActivityError) -> timedelta | None:
    """Returns how long the last attempt may still change something although it is given up, or None."""
    if not isinstance(error.cause, TimeoutError):
        return None
    if error.cause.type == TimeoutType.HEARTBEAT:
        return max(call.timeout - call.heartbeat, timedelta()) + GRACE
    return GRACE


def _timeout_message(call: Attempted, cause: TimeoutError) -> str:
    match cause.type:
        case TimeoutType.START_TO_CLOSE:
            return f"{call.activity} took longer than {format_duration(call.timeout)}"
        case TimeoutType.HEARTBEAT:
            return f"the worker that ran {call.activity} has vanished"
        case TimeoutType.SCHEDULE_TO_START:
            return f"no worker has taken {call.activity} from its queue in time"
        case _:
            return f"{call.activity} and its retries took too long"
