"""Three worker processes on one Redis, killed at random moments: what the provider itself has counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.pool_limits.redis_store import RedisStore
from counterstep.pool_limits.rules import NANO
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.processes.pool_worker import PoolOf
from counterstep.tests.support.processes.redis import RedisServer

RUNS, SIDE_BY_SIDE, KILLS = 50, 4, 6
PAUSE = 0.5
"""Seconds between two runs: some are under way whenever a worker is killed."""

CALLS, USD = 50, 100
USAGE = (200, 50)
PRICE = 1000 / 1_000_000
"""US dollars of a token, which the workers assume of a model that nobody knows."""

LIMITS = f"""
limits:
  - {{name: calls, key: task.tenant, model_calls: {CALLS}, per: 1d}}
  - {{name: usd, key: agent.provider, usd: {USD}, per: 1d}}
"""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def models() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


def spec(number: int, tenant: str) -> dict[str, Any]:
    """A task of some model calls side by side."""
    agent = {"agent": "team.writer", "input": {"for": tenant}, "timeout": "8s"}
    agent |= {"retry": {"attempts": 3, "initial": "100ms"}}
    return {"name": f"run{number}", "steps": [{"id": f"s{index}", **agent} for index in range(SIDE_BY_SIDE)]}


@pytest.mark.slow
async def test_no_limit_is_overshot_by_workers_that_are_killed(
    server: EmbeddedServer, redis: RedisServer, models: ModelServer, task_queue: str, tmp_path: Path
) -> None:
    (tmp_path / "limits.yaml").write_text(LIMITS)
    models.default = Behaviour.text("Done.").with_(usage=USAGE, delay=1)
    pool = PoolOf(tmp_path, redis.url, models.environment)
    client = await Client.connect(server.address)
    after, ends = [6 + 12 * index for index in range(KILLS)], []
    async with pool.killed_at_random(server.address, task_queue, models.count, after, seed=7) as killed:
        for number in range(RUNS):
            tenant = "large" if number % 4 else "small"
            handle = await client.start_workflow(
                "AgentTask",
                {"spec": spec(number, tenant), "input": {"tenant": tenant}},
                id=f"{task_queue}-{number}",
                task_queue=task_queue,
            )
            ends.append(asyncio.ensure_future(handle.result()))
            await asyncio.sleep(PAUSE)
        await asyncio.wait(ends, timeout=90)
    for waiting in ends:
        waiting.cancel()
    store = RedisStore(redis.url)
    booked = {f"{use.limit} {use.label}".strip(): use.used for use in await store.buckets()}
    await store.close()
    made = {
        tenant: sum(tenant in str(request.body["messages"]) for request in models.requests)
        for tenant in ("large", "small")
    }
    assert sum(made.values()) == models.count()
    spent = models.count() * sum(USAGE) * PRICE
    calls = {tenant: booked.get(f"calls {tenant}", 0) for tenant in made}
    usd = booked["usd openai"] / NANO
    print(
        f"\n{RUNS} runs, {len(killed)} kills: {made} requests reached the provider (limit {CALLS} "
        f"each, booked {calls}), for ${spent:.2f} (limit ${USD}, booked ${usd:.2f}); overshoot "
        f"{max(0, *(count - CALLS for count in made.values()))} calls, ${max(0.0, spent - USD):.2f}"
    )
    assert len(killed) >= KILLS // 2
    assert models.count() > CALLS
    for tenant, count in made.items():
        assert count <= calls[tenant] <= CALLS
    assert spent < usd <= USD  # what was lost with its worker stays booked at what it may have cost


@pytest.mark.slow
async def test_a_breaker_of_three_processes_sends_one_probe_in_each_cool_down(
    redis: RedisServer, models: ModelServer, tmp_path: Path
) -> None:
    cool_down = 0.6
    (tmp_path / "limits.yaml").write_text("breakers: {failures: 3, cool_down: 600ms}\n")
    arrived: list[float] = []

    def sick(_: dict[str, Any]) -> Behaviour:
        arrived.append(time.monotonic())
        return Behaviour(status=503, body='{"error": {"message": "overloaded"}}')

    models.default = sick
    pool = PoolOf(tmp_path, redis.url, models.environment)
    askers = [await asyncio.to_thread(pool.asker, number, "openai/x") for number in range(3)]
    try:
        async with asyncio.timeout(60):
            while len(arrived) < 12:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        for asker in askers:
            asker.kill()
            asker.wait()
    # What was on its way when it opened is no probe: that is two at most, besides the three failures.
    gaps = [later - earlier for earlier, later in pairwise(arrived[5:])]
    print(f"\nprobes were {min(gaps):.2f} to {max(gaps):.2f} s apart, with a cool-down of {cool_down} s")
    assert min(gaps) >= cool_down
