"""What models cost, as the model client's own list has it."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ...saga.limits.unpriced import UnpricedModels


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

    def of_tokens_or_assumed(
        self, model: str, input_tokens: int, output_tokens: int, unpriced: UnpricedModels
    ) -> float | None:
        """Returns the same, with what is assumed of models without a known price."""
        usd = self.of_tokens(model, input_tokens, output_tokens)
        return unpriced.price(input_tokens + output_tokens) if usd is None else usd

    def refusal(self, model: str, unpriced: UnpricedModels) -> str:
        """Says why a model is not asked whose price nobody knows; empty where it may be."""
        if not unpriced.refuse or self.of_tokens(model, 1, 1) is not None:
            return ""
        return "nobody knows its price, and such models are not asked (COUNTERSTEP_UNPRICED_MODELS=refuse)"

    def is_free(self, *names: str) -> bool:
        """Says whether it costs nothing; 0 is reported for a model that is listed without a price, too."""
        known = (*names, names[0].partition("/")[2])
        return any(self._client.model_cost.get(name, {}).get("input_cost_per_token") == 0 for name in known)
