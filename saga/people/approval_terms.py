"""What several approvals of one call demand together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ..spec.approval import Approval, EscalateTo


@dataclass(frozen=True, slots=True)
class ApprovalTerms:
    """What one question demands that stands for several approvals: each adds something, none takes away.

    Attributes:
        people: How many different people have to approve.
        roles: For each approval that names roles these, one of which an answering person must have.
        deadline: How long to wait at most.
        default: What counts after that: ``fail`` if one of them says so.
        remind: After how long, and then how often, people are reminded.
        escalate: Who may answer too after a while; only where all approvals that name roles allow others.
        always: What bounds further calls for each approval; empty where they may not be approved at once.
    """

    people: int
    roles: tuple[frozenset[str], ...]
    deadline: timedelta | None
    default: str
    remind: timedelta | None
    escalate: EscalateTo | None
    always: tuple[bool | str, ...]

    @classmethod
    def of(cls, approvals: Sequence[Approval]) -> ApprovalTerms:
        """Joins approvals, at least one."""
        people = max(approval.people for approval in approvals)
        always = tuple(approval.always for approval in approvals)
        with_roles = [approval for approval in approvals if approval.roles]
        return cls(
            people=people,
            roles=tuple(frozenset(approval.roles) for approval in with_roles),
            deadline=_least(approval.deadline for approval in approvals),
            default="fail" if any(approval.default == "fail" for approval in approvals) else "reject",
            remind=_least(approval.remind for approval in approvals),
            escalate=with_roles[0].escalate if len(with_roles) == 1 else None,
            always=always if people == 1 and all(always) else (),
        )


def _least(times: Iterable[timedelta | None]) -> timedelta | None:
    return min((time for time in times if time is not None), default=None)
