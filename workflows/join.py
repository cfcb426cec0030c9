"""The workflow that waits for several events about the same thing; there is one for each key."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..saga.events.join_run import JoinRun
from ..saga.history_format import JOIN
from ..saga.temporal.nothing import NOTHING


@workflow.defn(name=JOIN, sandboxed=False)
class EventJoin:
    """Starts its task once all events are there, or gives up waiting; then it answers late ones no more."""

    __counterstep_task__ = True

    @workflow.init
    def __init__(self, terms: RawValue = NOTHING) -> None:
        """Prepares for events, of which the first comes with the start."""
        self._join = JoinRun(terms)

    @workflow.run
    async def run(self, terms: RawValue = NOTHING) -> Any:
        """Waits for the events.

        Args:
            terms: `JoinTerms` as JSON.

        Returns:
            A `JoinAnswer` as JSON.
        """
        return await self._join.run()

    @workflow.update
    async def arrive(self, said: RawValue = NOTHING) -> Any:
        """Takes an event; see `JoinRun.arrive`."""
        return await self._join.arrive(said)

    @arrive.validator
    def check(self, said: RawValue = NOTHING) -> None:
        """Refuses what is not an event that it waits for."""
        self._join.expect_arrival(said)
