"""Workflows that are looked at while their local activities end."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from temporalio import activity, workflow

from counterstep.saga.temporal.steady_time import steady_time

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

    async def make(self) -> int:
        """Makes all calls; returns how often the end of a local activity has moved the steady time."""
        async with asyncio.TaskGroup() as chains:
            checked = chains.create_task(self._checked())
            for number in range(3):
                chains.create_task(self._plain(number))
        return checked.result()

    async def _checked(self) -> int:
        moved = 0
        for number in range(CHECKED):
            await workflow.execute_activity(work, start_to_close_timeout=LIMIT, activity_id=f"a{number}")
            before = steady_time()
            await workflow.execute_local_activity(look, start_to_close_timeout=LIMIT)
            moved += steady_time() != before
            for _ in range(4):  # what follows takes some turns of the loop, as it does in a task
                await asyncio.create_task(asyncio.sleep(0))
        return moved

    async def _plain(self, chain: int) -> None:
        for number in range(PLAIN):
            call = f"{chain}-{number}"
            await workflow.execute_activity(work, start_to_close_timeout=LIMIT, activity_id=call)


@workflow.defn(sandboxed=False)
class Watched(Chains):
    """Outside of the sandbox, as the workflows of tasks are."""

    @workflow.run
    async def run(self) -> int:
        """See `Chains.make`."""
        return await self.make()


@workflow.defn
class WatchedInSandbox(Chains):
    """In the sandbox, as most workflows of users are."""

    @workflow.run
    async def run(self) -> int:
        """See `Chains.make`."""
        return await self.make()
