"""The most a task may spend, and what it has spent."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


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


class Usage(BaseModel):
    """What has been spent on models.

    Attributes:
        model_calls: Finished requests.
        input_tokens: Tokens sent.
        output_tokens: Tokens received.
        usd: US dollars of all calls whose model has a known price.
        unpriced_calls: Calls of models without a known price: their cost is *not* in `usd`.
        unpriced_models: The names of those models.
    """

    model_config = ConfigDict(frozen=True)

    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    unpriced_calls: int = 0
    unpriced_models: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Input plus output tokens."""
        return self.input_tokens + self.output_tokens

    def plus(
        self, *, model: str, calls: int, input_tokens: int, output_tokens: int, usd: float | None
    ) -> Usage:
        """Adds the cost of one activity's model calls; `usd` None means that the model has no price."""
        unpriced = self.unpriced_models
        if usd is None and model not in unpriced:
            unpriced = (*unpriced, model)
        return Usage(
            model_calls=self.model_calls + calls,
            input_tokens=self.input_tokens + input_tokens,
            output_tokens=self.output_tokens + output_tokens,
            usd=self.usd + (usd or 0.0),
            unpriced_calls=self.unpriced_calls + (calls if usd is None else 0),
            unpriced_models=unpriced,
        )

    def joined(self, other: Usage) -> Usage:
        """Adds what somebody else has spent."""
        return Usage(
            model_calls=self.model_calls + other.model_calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            usd=self.usd + other.usd,
            unpriced_calls=self.unpriced_calls + other.unpriced_calls,
            unpriced_models=tuple(dict.fromkeys((*self.unpriced_models, *other.unpriced_models))),
        )

    def report(self) -> dict[str, object]:
        """Returns the usage as JSON, `tokens` included."""
        return {**self.model_dump(mode="json"), "tokens": self.tokens, "usd": round(self.usd, 8)}
