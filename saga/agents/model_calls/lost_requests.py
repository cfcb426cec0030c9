"""What requests to models may have cost that ended without an answer."""

from __future__ import annotations

from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError

from ...calls.call import Call
from ...errors import FailureType
from ...failure import Failed, Failure, Stopped
from ...limits.usage import CallUsage
from ..model_protocol import ModelRequest, ModelSpending


def told_by(failed: Failed) -> ModelSpending | None:
    """Returns what the requests of a failed call have cost, where its last attempt has told."""
    cause = _cause_of(failed)
    told = cause.details if isinstance(cause, ApplicationError) else ()
    if isinstance(cause, TimeoutError):
        told = cause.last_heartbeat_details
    try:
        return ModelSpending.model_validate(told[0])
    except (LookupError, TypeError, ValueError):
        return None


def with_unknown(
    told: ModelSpending | None, call: Call, asked: ModelRequest, failed: Failed
) -> ModelSpending | None:
    """Adds requests of which nobody knows whether they were made, or answered.

    Args:
        told: What the call has told of its cost, if anything.
        call: The call.
        asked: What was asked.
        failed: How it has ended.
    """
    under_way = isinstance(failed, Stopped) and not failed.not_applied
    vanished = isinstance(_cause_of(failed), TimeoutError)
    if not under_way and not vanished:
        return told
    told = told or ModelSpending()
    made = max(told.spent.model_calls, 1 if under_way else call.retry.attempts)
    unknown = made - told.spent.model_calls
    dear = asked.most if unknown or told.open else None
    cost = CallUsage(
        model_calls=unknown,
        input_tokens=dear.input_tokens if dear else 0,
        output_tokens=dear.output_tokens if dear else 0,
        usd=dear.usd if dear else 0.0,
    )
    return told.model_copy(update={"spent": told.spent.joined(cost)})


def _cause_of(failed: Failed) -> BaseException | None:
    error = failed.__cause__
    return error.cause if isinstance(error, ActivityError) else None


def unanswered(step: str, asked: ModelRequest) -> Failed:
    """Returns what to raise where all requests of a call have been lost."""
    models = ", ".join(asked.models)
    message = f"{models}: no answer; what requests may have cost that were lost counts against the budget"
    return Failed(Failure(step=step, type=FailureType.MODEL_UNAVAILABLE, message=message))
