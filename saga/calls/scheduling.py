"""How a call becomes an activity."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy

from ..effect import Effect
from .call import Call
from .headers import CURRENT_HEADER, CallHeader


def names_of(call: Call) -> tuple[str, ...] | None:
    """Returns the names by which an undo sees the arguments; None where the only argument has them."""
    by_name = len(call.args) == 1 and call.args[0] is call.input
    return None if by_name or call.compensation is None else tuple(call.input)


def start(call: Call, args: Sequence[Any], header: CallHeader) -> Future[Any]:
    """Schedules the activity of a call."""
    token = CURRENT_HEADER.set(header)
    retry = call.retry
    try:
        options: dict[str, Any] = {
            "task_queue": call.task_queue,
            "start_to_close_timeout": call.timeout,
            "heartbeat_timeout": call.heartbeat,
            "retry_policy": RetryPolicy(
                initial_interval=retry.initial,
                backoff_coefficient=retry.factor,
                maximum_interval=max(retry.max, retry.initial),
                maximum_attempts=retry.attempts,
            ),
            "cancellation_type": (
                workflow.ActivityCancellationType.TRY_CANCEL
                if call.effect is Effect.READ_ONLY
                else workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
            ),
            "summary": call.summary,
            **call.options,
        }
        return workflow.start_activity(
            call.activity, args=args, result_type=RawValue, activity_id=call.id, **options
        )
    finally:
        CURRENT_HEADER.reset(token)
