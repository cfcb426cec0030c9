"""The workflow that publishes one event; any client starts it, with a plain JSON argument."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..saga.events.publish_run import run_publish
from ..saga.history_format import PUBLISH
from ..saga.temporal.nothing import NOTHING


@workflow.defn(name=PUBLISH, sandboxed=False)
class PublishEvent:
    """Starts the tasks that wait for an event, and tells the joins that wait for it among others."""

    __counterstep_task__ = True

    @workflow.run
    async def run(self, event: RawValue = NOTHING) -> Any:
        """Publishes the event.

        Args:
            event: ``{"topic": TOPIC, "key": KEY, "payload": ...}``.

        Returns:
            A `Publication` as JSON: what the event has started.
        """
        return await run_publish(event)
