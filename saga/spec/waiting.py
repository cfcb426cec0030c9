"""The steps of a spec that only wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from ..duration import Duration
from .approval import Asking, asking_fault
from .fields import BareExpression, SpecModel, StepId


def approve_fault(approve: Mapping[str, Any]) -> str | None:
    """Says which keys of an approval do not go together, or None."""
    default, choices = approve.get("default"), approve.get("choices") or ("approve", "reject")
    if default is not None and approve.get("deadline") is None:
        return "default is what counts after the deadline; say a deadline"
    if default is not None and default not in choices:
        return f"the default {default!r} is none of the choices ({', '.join(map(str, choices))})"
    return asking_fault(approve)


def wait_fault(wait: Mapping[str, Any]) -> str | None:
    """Says which keys of a wait do not go together, or None."""
    said = {key for key, value in wait.items() if value is not None}
    if len(said & {"event", "time"}) != 1:
        return "wait for exactly one of event and time"
    if "time" in said and said & {"where", "deadline"}:
        return f"{' and '.join(sorted(said & {'where', 'deadline'}))} belong to an event"
    return None


class Approve(Asking):
    """A question to a person; the answer comes by the update ``decide``.

    Attributes:
        ask: The question; a template.
        show: An expression: what the person is to look at, and may edit.
        choices: The possible answers, if not ``approve``, ``reject`` and ``edit``; ``reject`` rejects too.
        default: The answer that counts after the deadline; ``reject`` if not said.

    The others are those of `Asking`.
    """

    ask: str = Field(min_length=1)
    show: BareExpression | None = None
    choices: tuple[StepId, ...] = ()
    default: str | None = None

    @model_validator(mode="after")
    def _keys_go_together(self) -> Approve:
        message = approve_fault({name: getattr(self, name) for name in self.model_fields_set})
        if message is not None:
            raise ValueError(message)
        return self


class Wait(SpecModel):
    """A wait for an event (the signal ``event``) or for a while: exactly one of `event` and `time`.

    Attributes:
        event: The event's name; a template.
        where: A condition on it, which reads its payload as ``event``.
        deadline: How long to wait at most; the step fails then.
        time: How long to wait.
    """

    event: str | None = Field(default=None, min_length=1)
    where: BareExpression | None = None
    deadline: Duration | None = None
    time: Duration | None = None

    @model_validator(mode="after")
    def _keys_go_together(self) -> Wait:
        message = wait_fault({name: getattr(self, name) for name in self.model_fields_set})
        if message is not None:
            raise ValueError(message)
        return self
