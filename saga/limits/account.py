"""A budget of a part of a task, and what that part has spent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel, ConfigDict

from .budget import Budget
from .limit_policies import covers
from .usage import Usage

_PARTS_OF_A_DOLLAR: Final = 10**12
"""Sums that shrink again are kept as whole numbers: with floats, something would stay behind."""


@dataclass(slots=True)
class Tally:
    """A sum of what calls may spend that are under way."""

    model_calls: int = 0
    tokens: int = 0
    tool_calls: int = 0
    handoffs: int = 0
    parts: int = 0

    def add(self, usage: Usage, sign: int = 1) -> None:
        """Adds what one more call may spend, or takes it out with a `sign` of -1."""
        self.model_calls += sign * usage.model_calls
        self.tokens += sign * usage.tokens
        self.tool_calls += sign * usage.tool_calls
        self.handoffs += sign * usage.handoffs
        self.parts += sign * round(usage.usd * _PARTS_OF_A_DOLLAR)

    def on_top_of(self, usage: Usage) -> Usage:
        """Returns the sum and `usage` together."""
        return usage.joined(
            Usage(
                model_calls=self.model_calls,
                input_tokens=self.tokens,
                usd=self.parts / _PARTS_OF_A_DOLLAR,
                tool_calls=self.tool_calls,
                handoffs=self.handoffs,
            )
        )


class CarriedAccount(BaseModel):
    """An account on its way into a continued run; the attributes are those of `Account`."""

    model_config = ConfigDict(frozen=True)

    path: str
    owner: str
    budget: Budget
    usage: Usage


@dataclass(slots=True, eq=False)
class Account:
    """The budget of one step, or of one job of an agent.

    Attributes:
        path: Where that is in the task; all that is called there or below counts.
        owner: Whose it is, for messages, e.g. ``step 'settle'``.
        budget: The most that may be spent there.
        usage: What has been spent there.
        under_way: What calls may spend that have not ended.
    """

    path: str
    owner: str
    budget: Budget
    usage: Usage = field(default_factory=Usage)
    under_way: Tally = field(default_factory=Tally)

    def covers(self, path: str) -> bool:
        """Says whether a call at `path` belongs there."""
        return covers(self.path, path)

    def carried(self) -> CarriedAccount:
        """Returns it as it goes on; nothing is under way then."""
        return CarriedAccount(path=self.path, owner=self.owner, budget=self.budget, usage=self.usage)
