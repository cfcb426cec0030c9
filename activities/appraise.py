"""Says what models may cost that are named in the code of a workflow only, as its judges are."""

from __future__ import annotations

from typing import Any

from temporalio import activity

from ..saga.history_format import APPRAISE
from ..saga.limits.unpriced import UnpricedModels
from .models.known_models import facts_of


class Appraiser:
    """Appraises models by the price list of one worker."""

    def __init__(self, unpriced: UnpricedModels) -> None:
        """Takes what is assumed of models without a known price."""
        self._unpriced = unpriced

    @activity.defn(name=APPRAISE)
    async def appraise(self, models: list[str]) -> dict[str, Any]:
        """Returns what is known of models, by name, each a `ModelFacts` as JSON."""
        found = await facts_of(models, self._unpriced)
        return {name: facts.model_dump(mode="json") for name, facts in found.items()}
