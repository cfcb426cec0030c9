"""What people tell a running task: the arguments of its updates."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from temporalio.exceptions import ApplicationError

from ..errors import FailureType
from ..fault_texts import faults_in
from ..limits.payload_size import MAX_PAYLOAD

Who = Annotated[str, Field(min_length=1, max_length=200)]
Note = Annotated[str, Field(max_length=2000)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    by: Who
    note: Note = ""


class Resolve(_Message):
    """What becomes of what needs attention (update ``resolve``): a stuck undo, a pivot, a reset.

    Attributes:
        step: The step; of stuck undos also the id of one entry of the ledger, or the path of an item or call.
        action: Run the undo again, count it as done by hand, or leave the effect as it is; of a pivot whose
            outcome is unknown whether it was applied; after a reset that has lost finished undos whether
            the task goes on.
        value: With ``applied``: the pivot's output.
        by: Who says so; a claim.
        note: Why; ``skip`` needs it.
    """

    step: str
    action: Literal["retry", "skip", "done", "applied", "not_applied", "rollback", "go_on"]
    value: Any = None


class Decide(_Message):
    """The answer for a step that waits for a person (update ``decide``).

    Attributes:
        step: The step, as the board's ``waiting_for`` names it.
        action: One of the actions that it offers.
        value: What the action needs, e.g. the output that is supplied.
        hash: Of what was shown, as the board's ``waiting_for`` gives it; needed where it gives one.
        by: Who says so; a claim.
        note: Why.
    """

    step: str
    action: str
    value: Any = None
    hash: str | None = None


class NobodyAnswered(Decide):
    """What counts where nobody has said anything in time."""


class Amend(_Message):
    """New facts while the task runs (update ``amend``).

    Attributes:
        facts: By name; they replace those of the same names.
        invalidates: Steps that the facts make worthless, whatever their expressions read.
        by: Who says so; a claim.
        note: Why.
    """

    facts: dict[str, Any] = Field(default_factory=dict)
    invalidates: tuple[str, ...] = ()


MessageT = TypeVar("MessageT", bound=_Message)


def read_message(kind: type[MessageT], value: Any) -> MessageT:
    """Reads the argument of an update.

    Raises:
        ApplicationError: It has another shape (type ``Refused``; all faults are named), or is too large.
    """
    try:
        message = kind.model_validate(value)
    except ValidationError as error:
        raise refused(faults_in(error, "the argument")) from None
    size = len(message.model_dump_json().encode())
    if size > MAX_PAYLOAD:
        raise refused(f"the argument has {size} bytes; the most is {MAX_PAYLOAD}")
    return message


def refused(reason: str) -> ApplicationError:
    """Returns what the validator of an update raises."""
    return ApplicationError(reason, type=FailureType.REFUSED, non_retryable=True)
