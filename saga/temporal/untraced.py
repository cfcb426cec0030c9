"""A failure without a traceback of the code that raises it."""

from __future__ import annotations

from typing import Self

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError


class Untraced(ApplicationError):
    """An error of our own that has no traceback in history, wherever it is raised.

    Where our own code has found it says nothing to anybody, and to write a traceback, with its lines of
    source, takes a few percent of all that the workflow of a short task does.
    """

    _written: Failure

    @classmethod
    def of(cls, error: ApplicationError, converter: PayloadConverter) -> Self:
        """Makes one of an error that nothing has led to.

        Args:
            error: What it says.
            converter: Writes its details.
        """
        same = cls(
            error.message,
            *error.details,
            type=error.type,
            non_retryable=error.non_retryable,
            next_retry_delay=error.next_retry_delay,
            category=error.category,
        )
        same._written = Failure()
        DefaultFailureConverter().to_failure(error.with_traceback(None), converter, same._written)
        return same

    @property
    def failure(self) -> Failure:
        """What goes into history in its place."""
        return self._written
