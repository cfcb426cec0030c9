"""What another worker goes on with has ended here, however often its activity is cancelled meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.testing import ActivityEnvironment

from counterstep.activities.worker_stop import unless_stopped


@pytest.mark.parametrize("stops", [True, False])
async def test_work_has_ended_before_its_activity(stops: bool) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.3)  # as a process that is asked to end takes its time
            ended.set()

    async def host() -> None:
        await unless_stopped(work(), RuntimeError("another one goes on"))

    environment = ActivityEnvironment()
    running = asyncio.ensure_future(environment.run(host))
    await begun.wait()
    if stops:
        environment.worker_shutdown()
    for _ in range(3):  # a worker that stops cancels its activities as well
        await asyncio.sleep(0.05)
        running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()
