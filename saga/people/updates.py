"""What people tell a running task: the arguments of its updates."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from temporalio.exceptions import ApplicationError

from ..errors import FailureType
from ..fault_texts import faults_in
from ..limits.payload_size import MAX_PAYLOAD

Who = Annotated[str, Field(min_length=1, max_length=200)]
Note = Annotated[str, Field(max_length=2000)]
Token = Annotated[str, Field(min_length=1, max_length=20_000)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    by: Who = ""
    note: Note = ""
    token: Token | None = None

    @model_validator(mode="after")
    def _somebody_says_it(self) -> Self:
        if not self.by and self.token is None:
            raise ValueError("'by' is missing: say who you are, or send a signed token")
        return self


class Resolve(_Message):
    """What becomes of what needs attention (update ``resolve``): a stuck undo, a pivot, a reset.

    Attributes:
        step: The step; of stuck undos also the id of one entry of the ledger, or the path of an item or call.
        action: Run the undo again, count it as done by hand, or leave the effect as it is; of a pivot whose
            outcome is unknown whether it was applied; after a reset that has lost finished undos whether
            the task goes on.
        value: With ``applied``: the pivot's output.
        by: Who says so; a claim, unless there is a token.
        note: Why; ``skip`` needs it.
        token: A signed token that proves who says so, and that this is what they say.
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
        by: Who says so; a claim, unless there is a token.
        note: Why.
        token: A signed token that proves who says so, and that this is what they say.
    """

    step: str
    action: str
    value: Any = None
    hash: str | None = None


class Answer(Decide):
    """An answer that a task has taken; nobody can send one.

    Attributes:
        roles: The roles that its token names; empty without one.
        proven: Whether its token was verified.
    """

    roles: frozenset[str] = frozenset()
    proven: bool = False


class NobodyAnswered(Answer):
    """What counts where nobody has said anything in time."""


class Amend(_Message):
    """New facts while the task runs (update ``amend``).

    Attributes:
        facts: By name; they replace those of the same names.
        invalidates: Steps that the facts make worthless, whatever their expressions read.
        by: Who says so; a claim, unless there is a token.
        note: Why.
        token: A signed token that proves who says so, and that this is what they say.
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
