"""What a child and its parent tell each other about the budget."""

from __future__ import annotations

from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..limits.budget import Budget
from ..limits.usage import Usage

CHILD_SPENDS: Final = "counterstep.child_spends"
PARENT_ALLOTS: Final = "counterstep.parent_allots"


class ChildSpending(BaseModel):
    """The signal of a child.

    Attributes:
        child: Its workflow id.
        spent: What it has spent, has under way or has promised to children of its own.
        ask: What tells this question from others; None where it asks for nothing, as it has ended.
        calls: How many model calls it needs at once.
        least_calls: With how many of them it can go on.
        tokens: How many tokens the next one of them may come to.
        usd: How many US dollars.
        tool_calls: How many tool calls it needs at once.
        handoffs: How many handoffs.
    """

    model_config = ConfigDict(frozen=True)

    child: str
    spent: Usage
    ask: str | None = None
    calls: int = Field(default=1, ge=0)
    least_calls: int = Field(default=1, ge=0)
    tokens: int = Field(default=0, ge=0)
    usd: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    tool_calls: int = Field(default=0, ge=0, exclude_if=lambda count: not count)
    handoffs: int = Field(default=0, ge=0, exclude_if=lambda count: not count)

    @property
    def needs(self) -> Usage:
        """What it needs at once."""
        return Usage(
            model_calls=self.calls,
            input_tokens=self.tokens,
            usd=self.usd,
            tool_calls=self.tool_calls,
            handoffs=self.handoffs,
        )

    @property
    def least(self) -> Usage:
        """With what it can go on."""
        return self.needs.model_copy(update={"model_calls": self.least_calls})

    @model_validator(mode="after")
    def _spends(self) -> Self:
        spent = self.spent
        if min(spent.model_calls, spent.input_tokens, spent.output_tokens, spent.usd) < 0:
            raise ValueError("nobody spends less than nothing")
        return self


class ParentAnswer(BaseModel):
    """The signal of the parent.

    Attributes:
        ask: The question.
        most: The most that the child may spend in all.
        refused: Why it gets nothing more; None where it does.
    """

    model_config = ConfigDict(frozen=True)

    ask: str
    most: Budget = Budget()
    refused: str | None = None
