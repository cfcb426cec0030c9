"""Settles a measured timeout that only a call in the code of a workflow names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temporalio import activity

from ..pool_limits.latencies import Latencies, settle
from ..saga.history_format import CALIBRATE
from ..saga.spec.timeout import Calibrated


class MeasuredTimeouts:
    """Settles timeouts by what one worker, or its pool, has measured."""

    def __init__(self, latencies: Latencies) -> None:
        """Takes what was measured."""
        self._latencies = latencies

    @activity.defn(name=CALIBRATE)
    async def calibrate(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Settles a timeout.

        Args:
            question: The ``limit`` as declared, a `Calibrated`, and the ``names`` of tools and models.

        Returns:
            It with what it is for those that were measured often enough, as JSON.
        """
        limit, names = Calibrated.model_validate(question["limit"]), list(question["names"])
        measured = await self._latencies.read(names)
        return settle(limit, measured, names).model_dump(mode="json")
