"""What models cost, as the model client's own list has it."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any


class PriceList:
    """Reads the list of the model client, which has no class of its own for that it does not know a model."""

    def __init__(self, client: ModuleType) -> None:
        """Reads a list.

        Args:
            client: The module of the model client; this one does not load it.
        """
        self._client = client

    def listed(self, model: str) -> dict[str, Any]:
        """Returns what the list has of a model; empty for one that it does not know."""
        try:
            return self._client.model_cost.get(model) or dict(self._client.get_model_info(model))
        except Exception:
            return {}

    def of_response(self, model: str, response: Any) -> float | None:
        """Returns what a response cost in US dollars, or None if the price is unknown."""
        try:
            usd = float(self._client.completion_cost(completion_response=response, model=model))
        except Exception:
            return None
        answered = response.get("model") if isinstance(response, Mapping) else response.model
        return usd if usd > 0 or self.is_free(model, answered or "") else None

    def of_tokens(self, model: str, input_tokens: int, output_tokens: int) -> float | None:
        """Returns what so many tokens cost in US dollars, or None if the price is unknown."""
        try:
            parts = self._client.cost_per_token(
                model=model, prompt_tokens=input_tokens, completion_tokens=output_tokens
            )
        except Exception:
            return None
        usd = float(sum(parts))
        return usd if usd > 0 or self.is_free(model) else None

    def is_free(self, *names: str) -> bool:
        """Says whether it costs nothing; 0 is reported for a model that is listed without a price, too."""
        known = (*names, names[0].partition("/")[2])
        return any(self._client.model_cost.get(name, {}).get("input_cost_per_token") == 0 for name in known)
