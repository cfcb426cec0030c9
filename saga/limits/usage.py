"""What has been spent: on models, and of calls that are counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

from pydantic import BaseModel, ConfigDict, Field


class Usage(BaseModel):
    """What has been spent on models, and how many calls were made that a budget may count.

    Attributes:
        model_calls: Requests, those that failed included.
        input_tokens: Tokens sent.
        output_tokens: Tokens received.
        usd: US dollars of all calls whose model has a known price.
        unpriced_calls: Calls of models without a known price: their cost is *not* in `usd`.
        unpriced_models: The names of those models.
        tool_calls: Calls of tools, by steps and by agents, those that failed included.
        handoffs: How often an agent has handed its conversation over.
    """

    model_config = ConfigDict(frozen=True)

    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    unpriced_calls: int = 0
    unpriced_models: tuple[str, ...] = ()
    tool_calls: int = 0
    handoffs: int = 0

    @property
    def tokens(self) -> int:
        """Input plus output tokens."""
        return self.input_tokens + self.output_tokens

    def cost(self) -> str:
        """Says in a few words what it has cost: what nobody knows is said to be unknown, never nothing."""
        return cost_of(self.usd, self.unpriced_models)

    def joined(self, other: Usage) -> Usage:
        """Adds what somebody else has spent."""
        return Usage(
            model_calls=self.model_calls + other.model_calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            usd=self.usd + other.usd,
            unpriced_calls=self.unpriced_calls + other.unpriced_calls,
            unpriced_models=tuple(dict.fromkeys((*self.unpriced_models, *other.unpriced_models))),
            tool_calls=self.tool_calls + other.tool_calls,
            handoffs=self.handoffs + other.handoffs,
        )

    @classmethod
    def of_all(cls, usages: Iterable[Usage]) -> Usage:
        """Returns what several have spent together."""
        return reduce(cls.joined, usages, cls())

    def report(self) -> dict[str, object]:
        """Returns the usage as JSON, `tokens` included."""
        return {**self.model_dump(mode="json"), "tokens": self.tokens, "usd": round(self.usd, 8)}


def cost_of(usd: float, unpriced: Sequence[str]) -> str:
    """Says in a few words what models have cost.

    Args:
        usd: US dollars of all calls whose model has a known price.
        unpriced: The models without one.
    """
    if not unpriced:
        return f"${usd:.4f}"
    names = ", ".join(unpriced)
    return f"${usd:.4f} and the unknown price of {names}" if usd else f"price of {names} unknown"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class CallUsage(_Frozen):
    """What the requests of one model call consumed.

    Attributes:
        model_calls: Requests sent to providers, those that failed over to the next model included.
        input_tokens: Tokens of the conversation.
        output_tokens: Tokens of the answer.
        usd: The price in US dollars; None when the model has no known price, which is never 0.
        known_usd: What those of them have cost whose price is known, where that of others is not.
    """

    model_calls: int = Field(ge=0)
    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)
    usd: float | None = Field(default=None, ge=0)
    known_usd: float = Field(default=0.0, ge=0, exclude_if=lambda usd: not usd)

    def joined(self, other: CallUsage) -> CallUsage:
        """Adds what another request has consumed; the price of both is known only where each is."""
        known = self._known + other._known
        is_known = self.usd is not None and other.usd is not None
        return CallUsage(
            model_calls=self.model_calls + other.model_calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            usd=known if is_known else None,
            known_usd=0.0 if is_known else known,
        )

    @property
    def _known(self) -> float:
        return self.known_usd if self.usd is None else self.usd

    def of_model(self, model: str) -> Usage:
        """Returns it as what a task has spent on `model`."""
        unpriced = self.usd is None
        return Usage(
            model_calls=self.model_calls,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            usd=self._known,
            unpriced_calls=self.model_calls if unpriced else 0,
            unpriced_models=(model,) if unpriced else (),
        )


ONE_TOOL_CALL = Usage(tool_calls=1)
ONE_HANDOFF = Usage(handoffs=1)
