"""G10: what a forced end leaves behind is undone, once, from its history."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.desk import Desk
from counterstep.tests.support.recovery import recover, refusal_of
from counterstep.tests.support.tasks import Tasks
from counterstep.tests.support.work import put
from counterstep.tests.support.workers import errand_worker


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    async with errand_worker(server.address, task_queue) as tasks:
        yield tasks


async def test_a_terminated_task_is_undone(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), put("b", "a"), {**put("c", "b", delay=1), "timeout": "2s"}])
    await effects.until("begin", "c")
    await handle.terminate("a test")
    done = await recover(tasks, handle)
    assert done.state == "completed"
    assert done.undone == ("c", "b", "a")
    assert effects.what("undone") == ["c", "b", "a"]
    assert effects.effects() == {}
    assert (await refusal_of(tasks, handle)).type == "AlreadyRecovered"
