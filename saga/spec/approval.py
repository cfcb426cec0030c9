"""When a call, or a step, needs a person's yes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from ..duration import Duration
from ..expressions.json_values import Whole
from .fields import BareExpression, SpecModel

APPROVAL_READS = ("arguments", "before", "agent", "task")
"""What the expressions of an approval may read."""

SHOWN = "shown"
"""What the bounds of an approval may read besides: the arguments that the first yes was for."""

Role = Annotated[str, Field(min_length=1, max_length=200)]


def approval_fault(approval: Mapping[str, Any]) -> str | None:
    """Says which keys of an approval of calls do not go together, or None."""
    if approval.get("default") == "fail" and approval.get("deadline") is None:
        return "default is what counts after the deadline; say a deadline"
    if approval.get("always") and (approval.get("people") or 1) > 1:
        return "always is one person's word; it does not go together with people above 1"
    return asking_fault(approval)


def asking_fault(asking: Mapping[str, Any]) -> str | None:
    """Says which keys do not go together of those that all questions to people share, or None."""
    if asking.get("escalate") is not None and not asking.get("roles"):
        return "escalate adds others to those who may answer; say roles, which tells who they are before"
    return None


class EscalateTo(SpecModel):
    """Who may answer too when nobody has answered for a while.

    Attributes:
        after: How long the others are waited for.
        roles: The roles that may answer from then on.
    """

    after: Duration
    roles: tuple[Role, ...] = Field(min_length=1)


class Asking(SpecModel):
    """Who is asked, and how long is waited for them.

    Attributes:
        deadline: How long to wait at most; None for as long as it takes.
        people: How many different people have to say the same.
        roles: Who may answer, by their roles, one of which is enough; empty for anybody. Roles are proven by
            signed decisions, see ``COUNTERSTEP_DECISION_KEYS``.
        remind: After how long, and then how often, those who have not answered are reminded.
        escalate: Who may answer too after a while.
        not_by: An expression that gives a name, or a list of names: they may reject, and say nothing else.
            Whoever asks for something should not approve it.
    """

    deadline: Duration | None = None
    people: Whole[int] = Field(default=1, ge=1, le=20, strict=True)
    roles: tuple[Role, ...] = ()
    remind: Duration | None = None
    escalate: EscalateTo | None = None
    not_by: BareExpression | None = None


class Approval(Asking):
    """When a call of a tool needs a person's yes; the answer comes by the update ``decide``.

    Expressions read ``arguments`` (by name), ``before`` (what the tool's `before` has read), ``agent`` (the
    name of the agent that calls, or null) and ``task`` (the task's input).

    Attributes:
        when: An expression: only calls for which it is true need the yes; None for all of them.
        ask: The question; a template. None for one that names tool and arguments.
        default: What counts after the deadline. Either way the call is not made: ``reject`` tells the agent
            so, which goes on; ``fail`` fails the step.
        always: Whether a person may say yes to further calls of this task too: True for calls whose numbers
            are not larger and whose other arguments are the same as those that were shown, or an expression
            that compares their ``arguments`` with ``shown``.
    """

    when: BareExpression | None = None
    ask: str | None = Field(default=None, min_length=1)
    default: Literal["reject", "fail"] = "reject"
    always: bool | str = False

    if TYPE_CHECKING:  # what is taken, and not only what is kept

        def __init__(
            self,
            *,
            when: str | bool | None = None,
            ask: str | None = None,
            deadline: timedelta | str | None = None,
            default: Literal["reject", "fail"] = "reject",
            people: int = 1,
            roles: Sequence[str] = (),
            not_by: str | None = None,
            remind: timedelta | str | None = None,
            escalate: EscalateTo | Mapping[str, Any] | None = None,
            always: bool | str = False,
        ) -> None: ...

    @model_validator(mode="after")
    def _approval_keys_go_together(self) -> Approval:
        message = approval_fault({name: getattr(self, name) for name in self.model_fields_set})
        if message is not None:
            raise ValueError(message)
        return self


class ToolApproval(Approval):
    """An approval that a spec demands of a tool's calls, besides those that the tool demands itself.

    Attributes:
        tool: The full name of the tool.

    The others are those of `Approval`.
    """

    tool: str = Field(min_length=1)
