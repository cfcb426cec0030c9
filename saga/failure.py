"""Why a call, a step or a task failed, as data and as an exception on its way up."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from .errors import CounterstepError, FailureType


class Failure(BaseModel):
    """Why something failed.

    Attributes:
        step: The step, or empty where no step is to blame.
        type: A name from `FailureType`, or the name of the exception that a user's code raised.
        message: One sentence.
    """

    model_config = ConfigDict(frozen=True)

    step: str
    type: str
    message: str

    def __str__(self) -> str:
        where = f"step {self.step!r} failed" if self.step else "failed"
        return f"{where}: {self.type}: {self.message}"


class Failed(CounterstepError):
    """Carries a `Failure` up to the place that decides what follows.

    Attributes:
        failure: What went wrong.
        not_applied: Whether it is certain that the call changed nothing.
        ends_step: Whether an agent whose call it was is not to go on.
        until: Of what the pool has no room for now: when that may be otherwise, ISO 8601; None where waiting
            does not help.
        made: Of such a call: how many attempts were made before there was no room.
    """

    def __init__(
        self,
        failure: Failure,
        *,
        not_applied: bool = False,
        ends_step: bool = False,
        until: str | None = None,
        made: int = 0,
    ) -> None:
        """Carries a failure.

        Args:
            failure: What went wrong.
            not_applied: See the attributes.
            ends_step: See the attributes.
            until: See the attributes.
            made: See the attributes.
        """
        super().__init__(str(failure))
        self.failure = failure
        self.not_applied = not_applied
        self.ends_step = ends_step
        self.until = until
        self.made = made


class Stopped(Failed):
    """A call that was not made, or was interrupted, because its scope has been stopped."""

    def __init__(self, step: str, reason: str, *, not_applied: bool = True) -> None:
        """Describes a stop.

        Args:
            step: The step's id.
            reason: Why the scope was stopped.
            not_applied: False where the call was under way, so that nobody knows what it has changed.
        """
        failure = Failure(step=step, type=FailureType.CANCELLED, message=reason)
        super().__init__(failure, not_applied=not_applied)


class RetryFromStep(Failed):
    """A failure after which the task goes back to a step and forward again from there.

    Attributes:
        back_to: The id of that step.
    """

    def __init__(self, failed: Failed, back_to: str) -> None:
        """Sends the task back to the step `back_to` because of a failure."""
        super().__init__(failed.failure, not_applied=failed.not_applied)
        self.back_to = back_to


class LeftToOthers(CounterstepError):
    """Fails the workflow task, and not the workflow: the server gives it to a worker again after a while.

    It is raised where only another worker of the queue may be able to go on.
    """


def trim(message: str, limit: int = 2000) -> str:
    """Cuts a message so that failure details stay small; halves of characters become question marks."""
    cut = message if len(message) <= limit else f"{message[: limit - 3]}..."
    return cut.encode(errors="replace").decode()


def text_of(error: BaseException) -> str:
    """Returns what an exception says, as text that can be recorded; a user's code may have made it."""
    try:
        return trim(str(error))
    except Exception:
        return f"{type(error).__name__}, whose text cannot be read"
