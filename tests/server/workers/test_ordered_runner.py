"""A task that somebody looks at while its local activities end is replayed by the next worker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import TemporalError
from temporalio.worker import Replayer, Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.workflows.watched import Watched, WatchedInSandbox, look, work


@pytest.mark.parametrize("watched", [Watched, pytest.param(WatchedInSandbox, marks=pytest.mark.long)])
async def test_a_task_that_is_watched_while_local_activities_end_replays(
    server: EmbeddedServer, watched: type
) -> None:
    plugin = CounterstepPlugin()
    client = await Client.connect(server.address, plugins=[plugin])
    queue = f"watched-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[watched], activities=[look, work]):
        handle = await client.start_workflow(watched.__name__, id=queue, task_queue=queue)
        watchers = [asyncio.create_task(watch(handle)) for _ in range(4)]
        assert await asyncio.wait_for(handle.result(), 120) == 0
        for watcher in watchers:
            watcher.cancel()
    history = await handle.fetch_history()
    assert told_late(history.events) > 0, "or nothing of this was tried"
    replayer = Replayer(workflows=[watched], plugins=[CounterstepPlugin()])
    await replayer.replay_workflow(history)


async def watch(handle: WorkflowHandle[Any, Any]) -> None:
    """Asks again and again, from now and then on."""
    while True:
        with suppress(TemporalError):
            await handle.query("board")
        await asyncio.sleep(0.01)


def told_late(events: Sequence[HistoryEvent]) -> int:
    """How many ends of local activities the workflow was told of in a later workflow task."""
    late = task = ended = 0
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            task = event.event_id
        elif event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
            ended = task
        elif event.activity_task_scheduled_event_attributes.activity_id.startswith("a") and ended:
            late += task != ended
    return late
