"""Exceptions in a form that Temporal can carry: it follows all that has led to one, and reads each text."""

from __future__ import annotations

from pydantic_core import to_json
from temporalio.exceptions import ApplicationError

from ..failure import text_of

_LONGEST_CHAIN = 20


def carried(error: BaseException | None) -> BaseException | None:
    """Returns an exception with what has led to it, in a form that Temporal can carry.

    What has led to it is cut off where it comes back to itself, or is very long. What has no text that can
    be recorded, counts as false, or has details that are not JSON, is replaced by an error that says what
    it was.
    """
    chain: list[BaseException] = []
    link = error
    while link is not None and len(chain) < _LONGEST_CHAIN and not any(link is known for known in chain):
        chain.append(link)
        link = _led_by(link)
    led_by: BaseException | None = None
    for link in reversed(chain):
        plain = link if _is_plain(link) else _told(link)
        if _led_by(plain) is not led_by:
            plain.__cause__ = led_by
        led_by = plain
    return led_by


def _led_by(error: BaseException) -> BaseException | None:
    return error.__cause__ if error.__suppress_context__ else error.__cause__ or error.__context__


def _is_plain(error: BaseException) -> bool:
    try:
        if isinstance(error, ApplicationError):
            to_json(error.details)
        return bool(error) and str(error) == text_of(error)
    except Exception:
        return False


def _told(error: BaseException) -> BaseException:
    told = ApplicationError(text_of(error), type=type(error).__name__)
    return told.with_traceback(error.__traceback__)
