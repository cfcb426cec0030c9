"""What several approvals of one call demand together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ..spec.approval import Approval
from .terms import Terms


@dataclass(frozen=True, slots=True)
class ApprovalTerms(Terms):
    """What one question demands that stands for several approvals: each adds something, none takes away.

    Others may answer after a while only where a single approval names roles. After the deadline ``fail``
    counts if one of them says so.

    Attributes:
        always: What bounds further calls for each approval; empty where they may not be approved at once.

    The others are those of `Terms`.
    """

    always: tuple[bool | str, ...] = ()

    @classmethod
    def of(cls, approvals: Sequence[Approval], not_by: Iterable[str] = ()) -> ApprovalTerms:
        """Joins approvals, at least one; nobody in `not_by` may answer."""
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
            not_by=frozenset(not_by),
            always=always if people == 1 and all(always) else (),
        )


def _least(times: Iterable[timedelta | None]) -> timedelta | None:
    return min((time for time in times if time is not None), default=None)
