"""The most a task may spend, and what it has spent."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from .usage import Usage


class Budget(BaseModel):
    """The most a task may spend on models; a limit that is not set does not bind.

    Attributes:
        model_calls: Requests to models, judges included.
        tokens: Input plus output tokens.
        usd: US dollars, at the prices that the worker knows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_calls: int | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    def exceeded_by(self, usage: Usage, calls_under_way: int = 0) -> str | None:
        """Says which limit the next model call would break.

        Args:
            usage: What the finished calls have cost.
            calls_under_way: Model calls that have started and not ended.

        Returns:
            One sentence, or None when the next call is within the budget.
        """
        calls = usage.model_calls + calls_under_way
        if self.model_calls is not None and calls >= self.model_calls:
            return f"the budget of {self.model_calls} model calls is used up"
        if self.tokens is not None and usage.tokens >= self.tokens:
            return f"the budget of {self.tokens} tokens is used up ({usage.tokens} spent)"
        if self.usd is not None and usage.usd >= self.usd:
            return f"the budget of ${self.usd:g} is used up (${usage.usd:.4f} spent)"
        return None

    @property
    def binds(self) -> bool:
        """Whether any limit is set."""
        return self != Budget()

    @property
    def has_room(self) -> bool:
        """Whether, read as what is left, it allows one more call."""
        return not any(left is not None and left <= 0 for left in (self.model_calls, self.tokens, self.usd))

    def left(self, usage: Usage) -> Budget:
        """Returns what is left when so much is spent."""
        return Budget(
            model_calls=_minus(self.model_calls, usage.model_calls),
            tokens=_minus(self.tokens, usage.tokens),
            usd=None if self.usd is None else max(0.0, self.usd - usage.usd),
        )

    def within(self, other: Budget) -> Budget:
        """Returns the lower one of each two limits."""
        return Budget(
            model_calls=_lower(self.model_calls, other.model_calls),
            tokens=_lower(self.tokens, other.tokens),
            usd=min((usd for usd in (self.usd, other.usd) if usd is not None), default=None),
        )

    def part(self, parts: int, calls: int) -> Budget:
        """Returns one of so many equal parts, rounded up, with so many calls at least where there are any."""
        return Budget(
            model_calls=None
            if self.model_calls is None
            else min(self.model_calls, max(calls, _share(self.model_calls, parts))),
            tokens=None if self.tokens is None else _share(self.tokens, parts),
            usd=None if self.usd is None else self.usd / parts,
        )

    def over(self, spent: Usage) -> Budget:
        """Returns the limits that leave so much to be spent on top of what is spent already."""
        return Budget(
            model_calls=None if self.model_calls is None else self.model_calls + spent.model_calls,
            tokens=None if self.tokens is None else self.tokens + spent.tokens,
            usd=None if self.usd is None else self.usd + spent.usd,
        )

    def used_up(self) -> Usage:
        """Returns what is spent when all of it is; a limit that is not set counts for nothing."""
        return Usage(model_calls=self.model_calls or 0, input_tokens=self.tokens or 0, usd=self.usd or 0.0)


def _minus(limit: int | None, spent: int) -> int | None:
    return None if limit is None else max(0, limit - spent)


def _lower(one: int | None, other: int | None) -> int | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


def _share(left: int, parts: int) -> int:
    return -(-left // parts)
