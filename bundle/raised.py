"""What a user's code has raised, as the one error that Temporal carries on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from temporalio.exceptions import ApplicationError

from ..saga.errors import CounterstepError, FailureType
from ..saga.failure import text_of, trim

_SHOWN_LEAVES = 10
OUR_TYPES: Final = frozenset(map(str, FailureType))
"""The types of failures that our own code tells."""


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """Yields the exceptions inside of a group, or the exception itself where it is none."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves_of(inner)
    else:
        yield error


def as_application_error(error: BaseException) -> ApplicationError:
    """Says what an exception is, in a form that every reader of a history understands.

    Args:
        error: Whatever was raised. Of a group, as ``asyncio.TaskGroup`` raises it, the exceptions inside are
            told, and the first of them gives its type. A class with the name of one of our own failures gets
            its module before it: a user's ``Cancelled`` says nothing of the task.

    Returns:
        The error itself where it is one of Temporal's already.
    """
    if isinstance(error, ApplicationError):
        return error
    leaves = list(leaves_of(error))
    if len(leaves) == 1 and leaves[0] is not error:
        return as_application_error(leaves[0])
    if len(leaves) > 1:
        failures = [as_application_error(leaf) for leaf in leaves]
        shown = [f"{failure.type}: {failure.message}" for failure in failures[:_SHOWN_LEAVES]]
        if len(failures) > _SHOWN_LEAVES:
            shown.append(f"and {len(failures) - _SHOWN_LEAVES} more")
        final = all(failure.non_retryable for failure in failures)
        return ApplicationError(trim("; ".join(shown)), type=failures[0].type, non_retryable=final)
    return ApplicationError(text_of(error) or type(error).__name__, type=_type_of(error))


def _type_of(error: BaseException) -> str:
    name = type(error).__name__
    if name in OUR_TYPES and not isinstance(error, CounterstepError):
        return f"{type(error).__module__}.{name}"
    return name
