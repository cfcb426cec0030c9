"""A failed request to a model: whether and when to repeat it, and what may be said about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from temporalio.exceptions import ApplicationError

from ...observability.redaction import redacted
from ...saga.errors import FailureType
from ...saga.limits.usage import CallUsage

LONGEST_MESSAGE = 500
LONGEST_DELAY = timedelta(seconds=60)

_RETRYABLE = (408, 409, 429)
_GATEWAY_GAVE_UP = (408, 504)
_LONGEST_CHAIN = 20
_MISSING_KEY = re.compile(r"(?i)missing credentials|api_key client option must be set")
_USED_UP = re.compile(
    r"(?i)insufficient[_ ](?:quota|balance|credits?|funds)|exceeded_current_quota_error"
    r"|billing[_ ]hard[_ ]limit|billing_not_active|account is not active|credit balance is too low"
    r"|out of credits|payment required|used all available credits|(?:spend(?:ing)?|credit) limit"
    r"|reached your specified api usage limits"
)
_MAY_BE_USED_UP = re.compile(
    r"(?i)exceeded your (?:current|monthly) (?:quota|usage limit)|check your plan and billing"
)
_WILL_BE_BACK = re.compile(r"(?i)retry in|try again in|retrydelay|per[ _]?(?:minute|second)")
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
        usage: What an answer has cost that is of no use; None where there was none.
        may_have_cost: Whether there may be an answer that nobody has seen: the request was sent, and then
            nothing was heard of it.
    """

    model: str
    reason: str
    status: int | None = None
    retryable: bool = False
    retry_after: timedelta | None = None
    usage: CallUsage | None = None
    may_have_cost: bool = False

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
        text = text.partition("Traceback (most recent call last):")[0].strip() or type(error).__name__
        # A client without a key fails before it sends anything; litellm reports that as status 500.
        refused = _MISSING_KEY.search(text) is not None
        delay = _retry_after(error)
        used_up = _is_used_up(f"{text} {getattr(error, 'body', None) or ''}", delay)
        retryable = (
            isinstance(status, int) and not (refused or used_up) and (status in _RETRYABLE or status >= 500)
        )
        return cls(
            model=model,
            reason=_WRAPPING.sub("", " ".join(text.split())),
            status=status if isinstance(status, int) and not refused else None,
            retryable=retryable,
            retry_after=delay,
            # A status of success is that of an answer which the client could not read.
            may_have_cost=(retryable and not _was_refused(error)) or _is_success(status),
        )

    @property
    def told(self) -> str:
        """What may be said about it to everybody, without anything that could be a key."""
        return redacted(str(self))

    def __str__(self) -> str:
        status = f" ({self.status})" if self.status else ""
        return f"{self.model}{status}: {self.reason}"


def application_error(
    failures: Sequence[ModelFailure], spending: Mapping[str, Any] | None = None
) -> ApplicationError:
    """Makes the one error of a call in which every model failed.

    Args:
        failures: One failure for each model; at least one.
        spending: What the requests have cost, as JSON; it becomes the error's details.

    Returns:
        `ModelUnavailable`, to be retried, when at least one model may answer later: after the shortest
        delay the providers ask for, or by the retry policy when one of them asks for none.
        `ModelRefused`, not to be retried, otherwise. The message holds nothing that could be a key.
    """
    share = LONGEST_MESSAGE // len(failures) - 2
    message = "; ".join(_trimmed(redacted(str(failure)), share) for failure in failures)
    details = () if spending is None else (dict(spending),)
    waiting = [failure.retry_after for failure in failures if failure.retryable]
    if not waiting:
        return ApplicationError(message, *details, type=FailureType.MODEL_REFUSED, non_retryable=True)
    delays = [delay for delay in waiting if delay is not None]
    return ApplicationError(
        message,
        *details,
        type=FailureType.MODEL_UNAVAILABLE,
        next_retry_delay=min(delays) if len(delays) == len(waiting) else None,
    )


def _is_success(status: Any) -> bool:
    return isinstance(status, int) and status // 100 == 2


def _was_refused(error: Exception) -> bool:
    """Says whether nothing can have been paid for: the provider has said no, or was never reached."""
    link: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if isinstance(link, httpx.HTTPStatusError):
            return link.response.status_code not in _GATEWAY_GAVE_UP
        if isinstance(link, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
            return True
        link = None if link is None else link.__cause__ or link.__context__
    return False


def _is_used_up(text: str, delay: timedelta | None) -> bool:
    """Says whether a quota or a balance is used up, which no retry brings back; a rate limit is not."""
    if _USED_UP.search(text):
        return True
    return delay is None and bool(_MAY_BE_USED_UP.search(text)) and not _WILL_BE_BACK.search(text)


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
