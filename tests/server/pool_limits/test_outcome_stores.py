"""Both stores know the same of agents; Redis is a real one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.pool_limits.outcomes import MOST_OUTCOMES, Standing
from counterstep.pool_limits.store import PoolStore, StoreUnreachable
from counterstep.saga.routing.outcomes import IMPORTANCE, VERDICT, JobOutcome
from counterstep.tests.support.processes.redis import RedisServer

LEASE = 60_000


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


Stage = tuple[PoolStore, Callable[[int], Awaitable[None]]]


@pytest.fixture(params=["memory", "redis"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A store, and how so many milliseconds pass in it."""
    if request.param == "memory":
        ahead = [0]

        async def pass_by(milliseconds: int) -> None:
            ahead[0] += milliseconds

        yield MemoryStore(lambda: time.time_ns() // 1_000_000 + ahead[0]), pass_by
        return
    server: RedisServer = request.getfixturevalue("redis")
    from counterstep.pool_limits.redis_store import RedisStore

    store = RedisStore(server.url)
    await store._client.flushall()
    yield store, lambda milliseconds: asyncio.sleep(milliseconds / 1000)
    await store.close()


def outcome(score: float, key: str, kind: str = VERDICT, agent: str = "a.x") -> JobOutcome:
    return JobOutcome(kind=kind, agent=agent, score=score, key=key)


async def test_outcomes_add_up_by_agent_and_a_report_counts_once(stage: Stage) -> None:
    known = stage[0].outcomes
    assert await known.standings([]) == {}
    assert await known.standings(["a.x"]) == {"a.x": Standing()}
    assert await known.note(outcome(1, "k1"))
    assert not await known.note(outcome(0, "k1"))
    assert await known.note(outcome(0.25, "k1", IMPORTANCE))
    assert await known.note(outcome(0, "k2", agent="a.y"))
    assert await known.standings(["a.y", "a.z", "a.x"]) == {
        "a.y": Standing(0, 1),
        "a.z": Standing(),
        "a.x": Standing(1.25, 0.75),
    }


async def test_what_is_long_ago_weighs_less(stage: Stage) -> None:
    known = stage[0].outcomes
    for number in range(MOST_OUTCOMES):
        await known.note(outcome(1 if number % 4 else 0, f"k{number}"))
    found = (await known.standings(["a.x"]))["a.x"]
    assert (found.good, found.bad) == (MOST_OUTCOMES * 3 / 8, MOST_OUTCOMES / 8)


async def test_the_load_is_the_calls_that_have_begun_and_neither_ended_nor_got_lost(stage: Stage) -> None:
    store, pass_by = stage
    known = store.outcomes
    await known.begin("a.x", "1", LEASE)
    await known.begin("a.x", "1", LEASE)
    await known.begin("a.x", "2", LEASE)
    await known.begin("a.x", "lost", 100)
    await known.begin("a.y", "1", LEASE)
    assert [one.load for one in (await known.standings(["a.x", "a.y"])).values()] == [3, 1]
    await known.end("a.x", "2")
    await known.end("a.x", "never")
    await pass_by(150)
    assert [one.load for one in (await known.standings(["a.x", "a.y"])).values()] == [1, 1]


async def test_a_redis_that_is_away_says_so() -> None:
    with RedisServer() as server:
        url = server.url
    from counterstep.pool_limits.redis_store import RedisStore

    store = RedisStore(url)
    with pytest.raises(StoreUnreachable):
        await store.outcomes.note(outcome(1, "k"))
    with pytest.raises(StoreUnreachable):
        await store.outcomes.standings(["a.x"])
    await store.close()
