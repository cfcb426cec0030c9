"""What a workflow of somebody's own sees of a call that has failed."""

from __future__ import annotations

from temporalio.exceptions import ApplicationError

from ..failure import Failure


class CallFailed(ApplicationError):
    """What ``Saga.call`` raises when a call has failed; its own undo is done by then.

    Attributes:
        call_failure: What went wrong.
        in_framework: Whether it was raised inside of an agent of a framework, which may wrap it.
    """

    def __init__(self, failure: Failure, *, in_framework: bool = False) -> None:
        """Takes its message and its type from a failure.

        Args:
            failure: What went wrong.
            in_framework: See the attributes.
        """
        super().__init__(str(failure), type=failure.type, non_retryable=True)
        self.call_failure = failure
        self.in_framework = in_framework
