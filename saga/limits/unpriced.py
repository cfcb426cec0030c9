"""What a model costs whose price nobody knows, as its worker's settings say."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

_TOKENS = 1_000_000


class UnpricedModels(BaseModel):
    """How models without a known price are treated.

    It reads ``ignore``, ``refuse`` or a number, as `COUNTERSTEP_UNPRICED_MODELS` has it.

    Attributes:
        refuse: Whether they are not asked at all.
        usd: US dollars to assume for a million tokens; None for a price that stays unknown, and counts for
            nothing.
    """

    model_config = ConfigDict(frozen=True)

    refuse: bool = False
    usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if isinstance(value, str):
            word = value.strip().lower()
            if word in ("ignore", "refuse"):
                return {"refuse": word == "refuse"}
            try:
                value = float(word)
            except ValueError:
                raise ValueError(_wanted(value)) from None
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not math.isfinite(value) or value < 0:
                raise ValueError(_wanted(value))
            return {"usd": float(value)}
        return value

    def __str__(self) -> str:
        if self.usd is not None:
            return f"{self.usd:g}"
        return "refuse" if self.refuse else "ignore"

    def price(self, tokens: int) -> float | None:
        """Returns what so many tokens cost in US dollars; None where that stays unknown."""
        return None if self.usd is None else tokens * self.usd / _TOKENS


def _wanted(value: object) -> str:
    return f"must be ignore, refuse, or US dollars to assume for a million tokens, not {value!r}"


IGNORED = UnpricedModels()
"""Their price counts for nothing, and is told as unknown."""
