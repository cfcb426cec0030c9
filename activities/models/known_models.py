"""What is known of models before they are asked; only for budgets that need it the client is loaded."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from ...saga.history_format import STAND_IN
from ...saga.limits.cost_bound import ModelFacts
from ...saga.limits.unpriced import UnpricedModels

_CLIENT = f"{__package__}.litellm_client"
_OTHER_TIERS = ("_priority", "_flex", "_batches")


async def facts_of(models: Iterable[str], unpriced: UnpricedModels) -> dict[str, ModelFacts]:
    """Returns what is known of models, by name.

    Args:
        models: Their names.
        unpriced: What is assumed of those without a known price.
    """
    client = await asyncio.to_thread(importlib.import_module, _CLIENT)
    found = {}
    for model in dict.fromkeys(models):
        facts = _read(client.prices.listed(model), is_free=client.prices.is_free(model))
        if facts.input_usd is None and model != STAND_IN:
            assumed = unpriced.price(1)
            facts = facts.model_copy(update={"input_usd": assumed, "output_usd": assumed})
        found[model] = facts
    return found


def _read(listed: Mapping[str, Any], *, is_free: bool) -> ModelFacts:
    """Reads an entry of litellm's list: of several prices the highest that a request may have."""
    output = ("output_cost_per_token", "output_cost_per_reasoning_token")
    prices = [_highest(listed, "input_cost_per_token"), max(_highest(listed, name) for name in output)]
    known = prices[0] > 0 or is_free
    return ModelFacts(
        input_usd=prices[0] if known else None,
        output_usd=prices[1] if known else None,
        longest_answer=listed.get("max_output_tokens") or None,
    )


def _highest(listed: Mapping[str, Any], price: str) -> float:
    """Returns a price, or that of long prompts where it is higher."""
    names = [name for name in listed if name == price or name.startswith(f"{price}_above_")]
    return max((float(listed[name] or 0.0) for name in names if not name.endswith(_OTHER_TIERS)), default=0.0)
