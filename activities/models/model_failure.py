"""A failed request to a model: whether and when to repeat it, and what may be said about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from temporalio.exceptions import ApplicationError

from ...observability.redaction import redacted
from ...saga.errors import FailureType

LONGEST_MESSAGE = 500
LONGEST_DELAY = timedelta(seconds=60)

_RETRYABLE = (408, 409, 429)
_MISSING_KEY = re.compile(r"(?i)missing credentials|api_key client option must be set")
_WRAPPING = re.compile(r"^(?:litellm\.\w+: |\w+Error: |Timeout Error: |\w+Exception - |\w+Error - )+")


@dataclass(frozen=True, slots=True)
class ModelFailure:
    """Why one model gave no usable answer.

    Attributes:
        model: The model that was asked.
        reason: The provider's reason, one line, as it came.
        status: The HTTP status, or the nearest one; None if none fits.
        retryable: Whether the same request may succeed later.
        retry_after: How long the provider asks to wait.
    """

    model: str
    reason: str
    status: int | None = None
    retryable: bool = False
    retry_after: timedelta | None = None

    @classmethod
    def of(cls, model: str, error: Exception) -> ModelFailure:
        """Classifies what a provider's client raised.

        Args:
            model: The model that was asked.
            error: An exception of litellm, which carries a `status_code`; any other is taken as final.

        Returns:
            The failure.
        """
        status = getattr(error, "status_code", None)
        text = getattr(error, "message", None) or str(error) or type(error).__name__
        # A client without a key fails before it sends anything; litellm reports that as status 500.
        refused = _MISSING_KEY.search(text) is not None
        return cls(
            model=model,
            reason=_WRAPPING.sub("", " ".join(text.split())),
            status=status if isinstance(status, int) and not refused else None,
            retryable=isinstance(status, int) and not refused and (status in _RETRYABLE or status >= 500),
            retry_after=_retry_after(error),
        )

    def __str__(self) -> str:
        status = f" ({self.status})" if self.status else ""
        return f"{self.model}{status}: {self.reason}"


def application_error(failures: Sequence[ModelFailure]) -> ApplicationError:
    """Makes the one error of a call in which every model failed.

    Args:
        failures: One failure for each model; at least one.

    Returns:
        `ModelUnavailable`, to be retried, when at least one model may answer later: after the shortest
        delay the providers ask for, or by the retry policy when one of them asks for none.
        `ModelRefused`, not to be retried, otherwise. The message holds nothing that could be a key.
    """
    share = LONGEST_MESSAGE // len(failures) - 2
    message = "; ".join(_trimmed(redacted(str(failure)), share) for failure in failures)
    waiting = [failure.retry_after for failure in failures if failure.retryable]
    if not waiting:
        return ApplicationError(message, type=FailureType.MODEL_REFUSED, non_retryable=True)
    delays = [delay for delay in waiting if delay is not None]
    return ApplicationError(
        message,
        type=FailureType.MODEL_UNAVAILABLE,
        next_retry_delay=min(delays) if len(delays) == len(waiting) else None,
    )


def _trimmed(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _retry_after(error: Exception) -> timedelta | None:
    """Returns what the retry-after header asks for, up to a limit; None without one."""
    response = getattr(error, "response", None)
    for headers in (getattr(error, "litellm_response_headers", None), getattr(response, "headers", None)):
        value = headers.get("retry-after") if headers else None
        if value:
            delay = _delay(value)
            return min(delay, LONGEST_DELAY) if delay > timedelta(0) else None
    return None


def _delay(value: str) -> timedelta:
    """Returns the delay that a header of seconds, or of an HTTP date, stands for."""
    try:
        return timedelta(seconds=float(value))
    except (ValueError, OverflowError):
        pass
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return timedelta(0)
    return (until if until.tzinfo else until.replace(tzinfo=UTC)) - datetime.now(UTC)
