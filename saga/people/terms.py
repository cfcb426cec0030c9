"""What one question demands of its answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from ..errors import ExpressionError
from ..spec.approval import Asking, EscalateTo
from .updates import Answer

_ALWAYS_OPEN: Final = frozenset({"reject"})
"""Who has asked for something may take it back."""


def names_in(value: Any) -> frozenset[str]:
    """Returns the names that a `not_by` has come to.

    Raises:
        ExpressionError: It is neither a name nor a list of names: nobody would be kept from answering.
    """
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) and name for name in names):
        raise ExpressionError(f"it must give a name or a list of names, not {value!r}")
    return frozenset(names)


@dataclass(frozen=True, slots=True)
class Terms:
    """Who is asked, and how long is waited for them.

    Attributes:
        people: How many different people have to say the same.
        roles: Sets of roles; an answering person must have one of each.
        deadline: How long to wait at most; None for as long as it takes.
        default: What counts after that.
        remind: After how long, and then how often, people are reminded.
        escalate: Who may answer too after a while.
        not_by: Who may not answer, whatever their roles, unless it is a rejection.
    """

    people: int = 1
    roles: tuple[frozenset[str], ...] = ()
    deadline: timedelta | None = None
    default: str = ""
    remind: timedelta | None = None
    escalate: EscalateTo | None = None
    not_by: frozenset[str] = frozenset()

    @classmethod
    def of_asking(cls, asking: Asking, default: str, not_by: Iterable[str] = ()) -> Terms:
        """Reads what a spec says.

        Args:
            asking: What it says.
            default: What counts after the deadline.
            not_by: The names that its `not_by` comes to.
        """
        return cls(
            people=asking.people,
            roles=(frozenset(asking.roles),) if asking.roles else (),
            deadline=asking.deadline,
            default=default,
            remind=asking.remind,
            escalate=asking.escalate,
            not_by=frozenset(not_by),
        )

    def wanted(self, *, escalated: bool) -> tuple[frozenset[str], ...]:
        """Returns the sets of roles of which an answering person must have one each.

        Args:
            escalated: Whether others may answer by now.
        """
        if not escalated or self.escalate is None:
            return self.roles
        return tuple(roles | frozenset(self.escalate.roles) for roles in self.roles)

    def refusal(self, answer: Answer, *, escalated: bool = False) -> str | None:
        """Says why an answer does not count, or None.

        Args:
            answer: The answer.
            escalated: Whether others may answer by now.
        """
        if answer.action not in _ALWAYS_OPEN and answer.by.casefold() in {
            name.casefold() for name in self.not_by
        }:
            return f"{answer.by} may not answer: whoever asked for it may only reject"
        for roles in self.wanted(escalated=escalated):
            if roles.isdisjoint(answer.roles):
                wanted = " or ".join(sorted(roles))
                if not answer.proven:
                    return (
                        f"it takes somebody who is proven to be {wanted}: a signed token, and "
                        "COUNTERSTEP_DECISION_KEYS on the workers"
                    )
                return f"{answer.by} is not {wanted}"
        return None


ANYBODY: Final = Terms()
"""One person, whoever it is, whenever."""
