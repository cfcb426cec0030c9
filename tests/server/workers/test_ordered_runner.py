"""A task that somebody looks at while its local activities end is replayed by the next worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import TemporalError
from temporalio.worker import Replayer, Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin

CHECKED, PLAIN = 60, 40
LIMIT = timedelta(seconds=10)


@activity.defn
async def look() -> None:
    """The local activity: it ends at once."""


@activity.defn
async def work() -> None:
    """What is called otherwise."""
    await asyncio.sleep(0.02)


class Chains:
    """One chain of calls of which each is checked by a local activity, beside some that are not."""

    @workflow.query
    def board(self) -> str:
        """Takes a while to be answered, as the board of a large task does."""
        with workflow.unsafe.sandbox_unrestricted():
            time.sleep(0.02)
        return "as it stands"

    async def make(self) -> None:
        """Makes all calls."""
        await asyncio.gather(self._checked(), *(self._plain(number) for number in range(3)))

    async def _checked(self) -> None:
        for number in range(CHECKED):
            await workflow.execute_activity(work, start_to_close_timeout=LIMIT, activity_id=f"a{number}")
            await workflow.execute_local_activity(look, start_to_close_timeout=LIMIT)
            for _ in range(4):  # what follows takes some turns of the loop, as it does in a task
                await asyncio.create_task(asyncio.sleep(0))

    async def _plain(self, chain: int) -> None:
        for number in range(PLAIN):
            call = f"{chain}-{number}"
            await workflow.execute_activity(work, start_to_close_timeout=LIMIT, activity_id=call)


@workflow.defn(sandboxed=False)
class Watched(Chains):
    """Outside of the sandbox, as the workflows of tasks are."""

    @workflow.run
    async def run(self) -> None:
        """See `Chains.make`."""
        await self.make()


@workflow.defn
class WatchedInSandbox(Chains):
    """In the sandbox, as most workflows of users are."""

    @workflow.run
    async def run(self) -> None:
        """See `Chains.make`."""
        await self.make()


@pytest.mark.parametrize("watched", [Watched, WatchedInSandbox])
async def test_a_task_that_is_watched_while_local_activities_end_replays(
    server: EmbeddedServer, watched: type
) -> None:
    plugin = CounterstepPlugin()
    client = await Client.connect(server.address, plugins=[plugin])
    queue = f"watched-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[watched], activities=[look, work]):
        handle = await client.start_workflow(watched.__name__, id=queue, task_queue=queue)
        watchers = [asyncio.create_task(watch(handle)) for _ in range(4)]
        await asyncio.wait_for(handle.result(), 120)
        for watcher in watchers:
            watcher.cancel()
    history = await handle.fetch_history()
    assert told_late(history.events) > 0, "or nothing of this was tried"
    replayer = Replayer(workflows=[watched], plugins=[CounterstepPlugin()])
    await replayer.replay_workflow(history)


async def watch(handle: WorkflowHandle[None, None]) -> None:
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
