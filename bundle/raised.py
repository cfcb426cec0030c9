"""What a user's code has raised, as the one error that Temporal carries on."""

from __future__ import annotations

from collections.abc import Iterator

from temporalio.exceptions import ApplicationError

from ..saga.failure import trim

_SHOWN_LEAVES = 10
_LONGEST_CHAIN = 20


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
            told, and the first of them gives its type.

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
    return ApplicationError(trim(_text(error)), type=type(error).__name__)


def without_loop(error: BaseException) -> BaseException:
    """Cuts the chain of causes where it comes back to itself, or is very long: Temporal follows all of it."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None:
        seen.add(id(link))
        cause = link.__cause__
        if cause is not None and (id(cause) in seen or len(seen) >= _LONGEST_CHAIN):
            link.__cause__ = None
        link = link.__cause__
    return error


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:
        return f"{type(error).__name__}, whose text cannot be read"
