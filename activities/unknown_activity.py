"""Ends the calls of activities that no worker has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from ..saga.calls import unknown_names
from ..saga.errors import FailureType


@activity.defn(dynamic=True)
async def unknown_activity(args: Sequence[RawValue]) -> None:
    """Takes the calls of every activity type that this worker does not have.

    Raises:
        ApplicationError: In every case; after ten minutes the call is not tried again.
    """
    info = activity.info()
    # Each attempt records its number: if all of them came here, it is certain that nothing has run.
    never_known = info.attempt == 1 or list(info.heartbeat_details) == [info.attempt - 1]
    if never_known:
        activity.heartbeat(info.attempt)
    activity.logger.warning("the activity %r is not known here", info.activity_type)
    patience_is_over = datetime.now(UTC) - info.scheduled_time >= unknown_names.PATIENCE
    raise ApplicationError(
        f"no worker of this queue knows the activity {info.activity_type!r}; give the worker its bundle",
        {"attempt": 1 if never_known else info.attempt},
        type=FailureType.UNKNOWN_ACTIVITY,
        non_retryable=patience_is_over,
        next_retry_delay=None if patience_is_over else unknown_names.PAUSE,
    )
