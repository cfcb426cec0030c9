"""Measured timeouts of the calls of one saga, each settled once, when a call first says it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from ..engine.run_context import RunContext
from ..history_format import CALIBRATE
from ..ledger.call_id import CallId
from ..spec.catalog import AgentEntry
from ..spec.timeout import Calibrated
from .call_target import CallTarget
from .tries import Tries


class CallTimes:
    """Settles measured timeouts; what they came to is in the history of the workflow, for every replay."""

    def __init__(self, context: RunContext) -> None:
        """Settles them for a saga that is run with `context`."""
        self._context = context
        self._settled: dict[tuple[str, str], Calibrated] = {}

    async def settle(self, tries: Tries, target: CallTarget, name: str) -> Tries:
        """Returns what a call says of its attempts, with its timeout settled where it is a measured one.

        Args:
            tries: What it says.
            target: What is called.
            name: The step's id.
        """
        limit = tries.timeout
        if not isinstance(limit, Calibrated):
            return tries
        key = target.name, limit.model_dump_json()
        if key not in self._settled:
            self._settled[key] = await self._ask(limit, target, name)
        return replace(tries, timeout=self._settled[key])

    async def _ask(self, limit: Calibrated, target: CallTarget, name: str) -> Calibrated:
        names = {target.name}
        if isinstance(target.entry, AgentEntry):
            catalog = self._context.catalog
            names |= catalog.with_others(names).keys() | catalog.models_behind(names)
        try:
            answer = await self._context.caller.local(
                CALIBRATE,
                {"limit": limit.model_dump(mode="json"), "names": sorted(names)},
                activity_id=str(CallId(name).within("timeout")),
                timeout=timedelta(seconds=10),
                summary=f"settle how long {target.name} may take"[:200],
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning(
                "a timeout is not calibrated, and the default one counts: %s", error.cause
            )
            return limit
        return Calibrated.model_validate(answer)
