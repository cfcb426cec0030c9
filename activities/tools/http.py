"""Requests that are declared as tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from temporalio.exceptions import ApplicationError

from ...bundle.current_step import current_step
from ...resources.http_request import Answer, HttpRequest
from ...saga.errors import NotApplied

OUTCOME_UNKNOWN: Final = "OutcomeUnknown"
"""The type of a failure after which nobody knows whether something has happened."""

_AGAIN: Final = (408, 409, 425, 429)
"""What a server may answer differently later."""


def read_over_http(request: HttpRequest, arguments: Mapping[str, Any]) -> Answer:
    """Sends a request that changes nothing."""
    status, answer = request.send({"arguments": dict(arguments)}, None)
    return _good(status, answer)


def change_over_http(request: HttpRequest, arguments: Mapping[str, Any]) -> Answer:
    """Sends a request once for its key; repeated, it has the same ``Idempotency-Key``."""
    try:
        from ...resources.request_keys import begin, finish
    except ImportError:
        raise NotApplied(
            "this worker has no SQLAlchemy for its keys: pip install 'counterstep[sql]'"
        ) from None
    step = current_step()
    is_first, known = begin(step.idempotency_key, step.task_id)
    if known is not None:
        answered: Answer = known
        return answered
    scope = {"arguments": dict(arguments), "key": step.idempotency_key}
    try:
        answer = _good(*request.send(scope, step.idempotency_key))
    except NotApplied as error:
        if is_first:
            raise
        # That this one has done nothing says nothing of the one before, e.g. before a reset.
        told = f"{error}; what an earlier request has done is unknown"
        raise ApplicationError(told, type=OUTCOME_UNKNOWN, non_retryable=True) from None
    finish(step.idempotency_key, answer)
    return answer


def _good(status: int, answer: Answer) -> Answer:
    if 200 <= status < 300:
        return answer
    message = f"the server answered {status}: {str(answer['body'])[:500]}"
    if 400 <= status < 500 and status not in _AGAIN:
        raise NotApplied(message)
    raise RuntimeError(message)
