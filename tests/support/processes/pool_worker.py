"""Workers of a pool, each in a process of its own, with the limits and breakers that a Redis holds."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from counterstep.activities.models.call_model import ModelCalls
from counterstep.pool_limits.pool import make_pool
from counterstep.runtime.settings import Settings
from counterstep.saga.agents.model_protocol import ChatMessage, ModelRequest
from counterstep.tests.support.bundles.agents import team
from counterstep.tests.support.bundles.desk import desk
from counterstep.tests.support.processes.command import until_written
from counterstep.tests.support.processes.forked import Forked
from counterstep.worker import make_worker, stock_plugin

READY = "ready"


@dataclass(frozen=True, slots=True)
class PoolOf:
    """What the processes share.

    Attributes:
        folder: Where they log; it has ``limits.yaml``.
        redis: The address of the Redis.
        models: The environment that sends model calls to a server of the test's.
    """

    folder: Path
    redis: str
    models: dict[str, str]

    def worker(self, number: int, address: str, task_queue: str) -> Forked:
        """Starts a Temporal worker that serves the bundle `team`."""
        return self._started(number, _work, address, task_queue)

    @asynccontextmanager
    async def killed_at_random(
        self, address: str, task_queue: str, arrived: Callable[[], int], after: Sequence[int], seed: int
    ) -> AsyncIterator[list[int]]:
        """Runs three workers, of which one is killed and replaced again and again.

        Args:
            address: The Temporal server.
            task_queue: Its queue.
            arrived: How many requests have arrived at the models.
            after: At how many of them one is killed: the last ones are under way then.
            seed: Of what is left to chance: which one, and when.

        Yields:
            The numbers of those that have been killed.
        """
        chance = random.Random(seed)
        workers = {number: self.worker(number, address, task_queue) for number in range(3)}
        killed: list[int] = []

        async def kill_and_replace(number: int, requests: int) -> None:
            while arrived() < requests or len(workers) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await asyncio.sleep(chance.uniform(0, 0.5))
            gone = chance.choice(sorted(workers))
            victim = workers.pop(gone)
            victim.kill()
            killed.append(gone)
            workers[number] = await asyncio.to_thread(self.worker, number, address, task_queue)
            victim.wait()

        killing = [asyncio.create_task(kill_and_replace(3 + n, count)) for n, count in enumerate(after)]
        try:
            yield killed
        finally:
            for waiting in killing:
                waiting.cancel()
            for worker in workers.values():
                worker.kill()
                worker.wait()

    def asker(self, number: int, model: str) -> Forked:
        """Starts a process that asks a model again and again."""
        return self._started(number, _ask, model)

    def _started(self, number: int, work: Any, *arguments: str) -> Forked:
        told = self.folder / f"worker-{number}.log"
        limits = str(self.folder / "limits.yaml")
        environment = {**os.environ, **self.models}
        process = Forked(
            work, limits, self.redis, *arguments, folder=self.folder, environment=environment, stderr=told
        )
        until_written(told, READY)
        return process


def _work(limits: str, redis: str, address: str, task_queue: str) -> None:
    async def serve() -> None:
        settings = Settings.model_validate({"limits": limits, "redis_url": redis, "unpriced_models": "1000"})
        plugin = stock_plugin([desk, team], settings, inline_specs=True)
        client = await Client.connect(address, plugins=[plugin])
        worker = make_worker(client, task_queue, settings.graceful_shutdown)
        running = asyncio.create_task(worker.run())
        while not worker.is_running:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        sys.stderr.write(f"{READY}\n")
        await running

    asyncio.run(serve())


def _ask(limits: str, redis: str, model: str) -> None:
    async def ask() -> None:
        pool = make_pool(limits, redis, "ignore")
        calls = ModelCalls(pool)
        asked = ModelRequest(
            agent="a", models=(model,), messages=(ChatMessage(role="user", content="x"),), timeout=5
        )
        sys.stderr.write(f"{READY}\n")
        for _ in count():
            try:
                await ActivityEnvironment().run(calls.call_model, asked.model_dump(mode="json"))
            except ApplicationError:
                await asyncio.sleep(0.005)

    asyncio.run(ask())
