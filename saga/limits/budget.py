"""The most that a task, a step or an agent may spend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from ..counted import counted
from ..expressions.json_values import Whole
from .usage import Usage

_WORDS: Final = {
    "model_calls": "model call",
    "tokens": "token",
    "tool_calls": "tool call",
    "handoffs": "handoff",
}

_ROUNDING: Final = 1e-9
"""US dollars that sums of prices may differ by in their last digits; no token costs so little."""


class Budget(BaseModel):
    """The most that may be spent; a limit that is not set does not bind.

    Attributes:
        model_calls: Requests to models, judges included.
        tokens: Input plus output tokens.
        usd: US dollars, at the prices that the worker knows.
        tool_calls: Calls of tools, by steps and by agents; repeated attempts of one call count once.
        handoffs: How often agents may hand their conversation over.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_calls: Whole[int | None] = Field(default=None, ge=0, strict=True)
    tokens: Whole[int | None] = Field(default=None, ge=0, strict=True)
    usd: float | None = Field(default=None, ge=0, allow_inf_nan=False, strict=True)
    tool_calls: Whole[int | None] = Field(default=None, ge=0, strict=True)
    handoffs: Whole[int | None] = Field(default=None, ge=0, strict=True)

    def refusal(self, spent: Usage, wanted: Usage) -> str | None:
        """Says which limit would be passed.

        Args:
            spent: What is spent, under way or promised.
            wanted: What is to be spent on top of that, at most; what it has nothing of is not looked at, but
                for the tokens and the price of a model call.

        Returns:
            What follows "the budget", or "the budget of" somebody, in a sentence; None where there is room.
        """
        for name, word in _WORDS.items():
            limit, used, more = getattr(self, name), getattr(spent, name), getattr(wanted, name)
            if limit is None or not (more or (name == "tokens" and wanted.model_calls)):
                continue
            if used >= limit:
                said = f" ({used} spent)" if name == "tokens" else ""
                return f"of {counted(limit, word)} is used up{said}"
            if used + more > limit:
                return f"of {counted(limit, word)} has {limit - used} left, and the next call may need {more}"
        if self.usd is None or not wanted.model_calls:
            return None
        if spent.usd >= self.usd:
            return f"of ${self.usd:g} is used up (${spent.usd:.4f} spent)"
        if spent.usd + wanted.usd > self.usd + _ROUNDING:
            left = self.usd - spent.usd
            return f"of ${self.usd:g} has ${left:.4f} left, and the next call may cost ${wanted.usd:.4f}"
        return None

    @property
    def binds(self) -> bool:
        """Whether any limit is set."""
        return self != Budget()

    @property
    def prices_matter(self) -> bool:
        """Whether what a request may cost at most has to be known before it is sent."""
        return self.tokens is not None or self.usd is not None

    def left(self, usage: Usage) -> Budget:
        """Returns what is left when so much is spent."""
        return self._each(lambda name, limit: max(0, limit - getattr(usage, name)))

    def within(self, other: Budget) -> Budget:
        """Returns the lower one of each two limits."""
        both = self._each(lambda name, limit: min(limit, _or(getattr(other, name), limit)))
        return other.model_copy(update=both.model_dump(exclude_none=True))

    def part(self, parts: int, at_least: Usage) -> Budget:
        """Returns one of so many equal parts, rounded up, but so much at least where there is that."""
        return self._each(lambda name, limit: min(limit, max(getattr(at_least, name), _share(limit, parts))))

    def over(self, spent: Usage) -> Budget:
        """Returns the limits that leave so much to be spent on top of what is spent already."""
        return self._each(lambda name, limit: limit + getattr(spent, name))

    def only(self, other: Budget) -> Budget:
        """Returns those limits that `other` has, too."""
        return Budget.model_construct(
            **{name: limit for name, limit in self._set().items() if name in other._set()}
        )

    def used_up(self) -> Usage:
        """Returns what is spent when all of it is; a limit that is not set counts for nothing."""
        return Usage(
            model_calls=self.model_calls or 0,
            input_tokens=self.tokens or 0,
            usd=self.usd or 0.0,
            tool_calls=self.tool_calls or 0,
            handoffs=self.handoffs or 0,
        )

    def _set(self) -> dict[str, Any]:
        return {name: limit for name in _LIMITS if (limit := getattr(self, name)) is not None}

    def _each(self, change: Callable[[str, Any], Any]) -> Budget:
        return Budget.model_construct(**{name: change(name, limit) for name, limit in self._set().items()})


_LIMITS: Final = (*_WORDS, "usd")


def _or(limit: float | None, other: float) -> float:
    return other if limit is None else limit


def _share(left: float, parts: int) -> float:
    return -(-left // parts) if isinstance(left, int) else left / parts
