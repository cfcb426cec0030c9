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

    def left(self, usage: Usage) -> Budget:
        """Returns what is left of tokens and US dollars; model calls are held one by one."""
        return Budget(
            tokens=None if self.tokens is None else max(0, self.tokens - usage.tokens),
            usd=None if self.usd is None else max(0.0, self.usd - usage.usd),
        )
