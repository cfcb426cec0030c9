"""Both stores of limits and breakers do the same; Redis is a real one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.pool_limits.rules import MOST_AT_ONCE, Limit
from counterstep.pool_limits.shared_limits import SharedLimits
from counterstep.pool_limits.store import (
    BACK_SOON,
    BreakerState,
    BreakerTerms,
    Charge,
    End,
    PoolStore,
    StoreUnreachable,
)
from counterstep.saga.limits.usage import CallUsage
from counterstep.tests.support.processes.redis import RedisServer

HOUR = 3_600_000
LEASE = 60_000
TERMS = BreakerTerms(failures=3, within=5_000, cool_down=200)
CALLS = Charge("calls", "acme", "model_calls", 24 * HOUR, 1, 3)
USD = Charge("usd", "", "usd", HOUR, 600, 1000)


class Stage:
    """A store, and how time passes in it."""

    def __init__(self, store: PoolStore) -> None:
        self.store = store
        self._ahead = 0

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self._ahead

    async def wait(self, milliseconds: int) -> None:
        if self.store.is_shared:
            await asyncio.sleep(milliseconds / 1000)
        self._ahead += 0 if self.store.is_shared else milliseconds

    async def window(self, per: int) -> None:
        """Waits for a window to begin."""
        await self.wait(per - self.now() % per + 1)

    async def used(self) -> dict[str, tuple[int, int]]:
        return {f"{use.limit} {use.label}": (use.used, use.reserved) for use in await self.store.buckets()}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    if request.param == "memory":
        here = Stage(MemoryStore(lambda: here.now()))
        yield here
        return
    server: RedisServer = request.getfixturevalue("redis")
    from counterstep.pool_limits.redis_store import RedisStore

    store = RedisStore(server.url)
    await store.open()
    await store._client.flushall()
    yield Stage(store)
    await store.close()


async def test_what_is_reserved_is_booked_until_it_is_settled(stage: Stage) -> None:
    store = stage.store
    assert await store.reserve("a", [CALLS, USD], LEASE) is None
    assert await stage.used() == {"calls acme": (1, 1), "usd ": (600, 600)}
    await store.settle("a", {"calls": 1, "usd": 123})
    assert await stage.used() == {"calls acme": (1, 0), "usd ": (123, 0)}
    await store.settle("a", {"calls": 0, "usd": 0})  # a second time counts for nothing
    assert await stage.used() == {"calls acme": (1, 0), "usd ": (123, 0)}


async def test_the_newest_durations_of_each_name_are_kept(stage: Stage) -> None:
    assert await stage.store.durations(["a.b", "openai/x"]) == {}
    await stage.store.keep_durations("a.b", list(range(150)))
    await stage.store.keep_durations("a.b", list(range(150, 250)))
    await stage.store.keep_durations("openai/x", [7])
    found = await stage.store.durations(["a.b", "a.c", "openai/x"])
    assert {name: sorted(one) for name, one in found.items()} == {
        "a.b": list(range(50, 250)),
        "openai/x": [7],
    }


async def test_all_buckets_or_none(stage: Stage) -> None:
    store = stage.store
    assert await store.reserve("a", [CALLS, USD], LEASE) is None
    full = await store.reserve("b", [CALLS, USD], LEASE)
    assert full is not None
    assert full.charge == USD
    assert full.used == 600
    assert await stage.used() == {"calls acme": (1, 1), "usd ": (600, 600)}
    assert await store.reserve("b", [CALLS, replace(USD, amount=400)], LEASE) is None
    assert await stage.used() == {"calls acme": (2, 2), "usd ": (1000, 1000)}


async def test_the_same_call_takes_its_reservation_over(stage: Stage) -> None:
    store = stage.store
    assert await store.reserve("a", [CALLS, USD], LEASE) is None
    assert await store.reserve("a", [CALLS, replace(USD, amount=900)], LEASE) is None
    assert await stage.used() == {"calls acme": (1, 1), "usd ": (900, 900)}
    await store.settle("a", {"calls": 1, "usd": 5})
    # It is over: the next one is a call of its own.
    assert await store.reserve("a", [CALLS, USD], LEASE) is None
    assert await stage.used() == {"calls acme": (2, 1), "usd ": (605, 600)}


async def test_when_a_full_bucket_has_room_again(stage: Stage) -> None:
    store = stage.store
    for call in "abc":
        assert await store.reserve(call, [CALLS], LEASE) is None
    now = stage.now()
    held = await store.reserve("d", [CALLS], LEASE)
    assert held is not None and held.held and held.until is not None
    assert now <= held.until <= now + BACK_SOON + 1000
    for call in "abc":
        await store.settle(call, {"calls": 1})
    spent = await store.reserve("d", [CALLS], LEASE)
    assert spent is not None and not spent.held
    assert spent.until == (now // CALLS.per + 1) * CALLS.per
    # Another bucket of the same limit has room.
    assert await store.reserve("d", [replace(CALLS, label="other")], LEASE) is None
    never = await store.reserve("e", [CALLS, replace(USD, amount=1001)], LEASE)
    assert never is not None
    assert (never.charge.limit, never.until) == ("usd", None)


async def test_a_lost_call_stays_booked_until_its_window_ends(stage: Stage) -> None:
    store, charge = stage.store, replace(CALLS, per=500, cap=1)
    await stage.window(500)
    assert await store.reserve("lost", [charge], 100) is None
    await stage.wait(150)
    full = await store.reserve("b", [charge], LEASE)
    assert full is not None and not full.held and full.until is not None
    assert full.until % 500 == 0
    await stage.wait(full.until - stage.now() + 1)
    assert await store.reserve("b", [charge], LEASE) is None
    assert await stage.used() == {"calls acme": (1, 1)}
    await store.settle("lost", {"calls": 0})  # too late: it is another window's now
    assert await stage.used() == {"calls acme": (1, 1)}


async def test_a_reservation_goes_along_into_the_next_window(stage: Stage) -> None:
    store, charge = stage.store, replace(CALLS, per=400)
    await stage.window(400)
    assert await store.reserve("a", [charge, USD], LEASE) is None
    await stage.window(400)
    assert await store.reserve("a", [charge, USD], LEASE) is None
    assert await stage.used() == {"calls acme": (1, 1), "usd ": (600, 600)}


async def test_names_may_hold_anything(stage: Stage) -> None:
    charges = [replace(CALLS, label=label) for label in ("ä:b*?[x]", "{}", "ä:b*?[x]:1")]
    for number, charge in enumerate(charges):
        assert await stage.store.reserve(f"call:{number}", [charge], LEASE) is None
    assert set(await stage.used()) == {f"calls {charge.label}" for charge in charges}


async def test_reservations_side_by_side_never_pass_the_cap(stage: Stage) -> None:
    """A hundred calls of any cost, a third of which gets lost."""
    store = stage.store
    spent = 0

    async def call(number: int) -> None:
        nonlocal spent
        most = 20 + number * 7 % 80
        if await store.reserve(f"c{number}", [replace(USD, amount=most)], LEASE) is not None:
            return
        cost = number * 13 % (most + 1)
        spent += cost
        await asyncio.sleep(0)
        if number % 3:
            await store.settle(f"c{number}", {"usd": cost})

    await asyncio.gather(*map(call, range(100)))
    assert 0 < spent <= USD.cap
    (use,) = await store.buckets()
    assert spent <= use.used <= USD.cap


async def test_failures_open_a_breaker_and_one_probe_decides(stage: Stage) -> None:
    store = stage.store
    for number in range(3):
        assert (await store.ask("m", "x", LEASE)).may_pass
        changed = await store.report("m", End.BAD, TERMS, reason=f"503 number {number}")
        assert changed is (BreakerState.OPEN if number == 2 else None)
    shut = await store.ask("m", "x", LEASE)
    assert not shut.may_pass and shut.until > stage.now() and shut.reason == "503 number 2"
    assert await store.report("m", End.BAD, TERMS) is None  # begun before, ended late
    assert await store.report("m", End.GOOD, TERMS) is None
    (told,) = await store.breakers()
    assert (told.name, told.state, told.failures, told.until) == ("m", "open", 3, shut.until)
    await stage.wait(220)
    asked = [await store.ask("m", f"p{number}", LEASE) for number in range(5)]
    assert [answer.probe for answer in asked] == ["p0", None, None, None, None]
    assert [answer.may_pass for answer in asked] == [True, False, False, False, False]
    assert (await store.breakers())[0].state == "probing"
    assert await store.report("m", End.BAD, TERMS, "p0", "still sick") is BreakerState.OPEN
    again = await store.ask("m", "x", LEASE)
    assert not again.may_pass and again.reason == "still sick"
    await stage.wait(220)
    assert (await store.ask("m", "p9", LEASE)).probe == "p9"
    assert await store.report("m", End.GOOD, TERMS, "p0") is None  # it is not the probe any more
    assert await store.report("m", End.GOOD, TERMS, "p9") is BreakerState.CLOSED
    assert (await store.ask("m", "x", LEASE)).probe is None
    assert await store.breakers() == []


async def test_a_probe_that_is_lost_or_undecided_makes_room_for_the_next(stage: Stage) -> None:
    store = stage.store
    for _ in range(3):
        await store.report("m", End.BAD, TERMS)
    await stage.wait(220)
    assert (await store.ask("m", "lost", 150)).probe == "lost"
    assert not (await store.ask("m", "x", 150)).may_pass
    await stage.wait(170)
    assert (await store.ask("m", "second", LEASE)).probe == "second"
    assert await store.report("m", End.UNKNOWN, TERMS, "second") is None
    assert not (await store.ask("m", "x", LEASE)).may_pass  # it cools down once more
    await stage.wait(220)
    assert (await store.ask("m", "third", LEASE)).probe == "third"


async def test_failures_that_are_far_apart_open_nothing(stage: Stage) -> None:
    terms = replace(TERMS, within=200)
    for number in range(5):
        assert await stage.store.report("m", End.BAD, terms) is None, number
        await stage.wait(110)
    await stage.store.report("other", End.BAD, TERMS)
    assert (await stage.store.ask("m", "x", LEASE)).may_pass


async def test_a_store_that_is_gone_says_so_and_serves_again_when_it_is_back() -> None:
    with RedisServer() as server:
        from counterstep.pool_limits.redis_store import RedisStore

        store = RedisStore(server.url)
        await store.open()
        assert await store.reserve("a", [CALLS], LEASE) is None
        server.kill()
        for question in (
            store.open(),
            store.reserve("b", [CALLS], LEASE),
            store.settle("a", {}),
            store.ask("m", "x", LEASE),
            store.report("m", End.BAD, TERMS),
            store.buckets(),
            store.breakers(),
        ):
            with pytest.raises(StoreUnreachable):
                await question
        server.start()
        assert await store.reserve("b", [CALLS], LEASE) is None
        await store.close()


async def test_a_redis_that_hangs_is_as_good_as_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer() as server:
        from counterstep.pool_limits import redis_store

        monkeypatch.setattr(redis_store, "LONGEST", 0.2)
        store = redis_store.RedisStore(server.url)
        assert await store.reserve("a", [CALLS], LEASE) is None
        with server.stopped():
            for question in (store.reserve("b", [CALLS], LEASE), store.ask("m", "x", LEASE), store.buckets()):
                with pytest.raises(StoreUnreachable, match=r"no answer within 0\.2 s"):
                    await question
        assert await store.reserve("c", [CALLS], LEASE) is None
        assert (await store.ask("m", "x", LEASE)).may_pass
        await store.close()


async def test_an_amount_that_nobody_can_spend_fills_the_bucket(stage: Stage) -> None:
    limit = Limit(name="day", tokens=1_000_000_000_000, per=timedelta(days=1))
    calls = Limit(name="calls", model_calls=10, per=timedelta(days=1))
    limits = SharedLimits([limit, calls], stage.store)
    most = CallUsage(model_calls=1, input_tokens=5, output_tokens=5)
    assert await limits.reserve("a", {}, most, timedelta(minutes=1)) is None
    await limits.settle("a", most.model_copy(update={"output_tokens": 10**30}))
    assert await stage.used() == {"calls ": (1, 0), "day ": (MOST_AT_ONCE, 0)}
    full = await limits.reserve("b", {}, most, timedelta(minutes=1))
    assert full is not None
    assert full.charge.limit == "day"


async def test_a_bucket_that_a_redis_tells_twice_is_told_once(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from counterstep.pool_limits.redis_store import RedisStore

    store = RedisStore(redis.url)
    await store._client.flushall()
    await store.reserve("a", [CALLS], LEASE)
    once = store._client.scan_iter

    async def twice(**how: Any) -> AsyncIterator[str]:
        async for key in once(**how):
            yield key
            yield key

    monkeypatch.setattr(store._client, "scan_iter", twice)
    assert [use.limit for use in await store.buckets()] == ["calls"]
    await store.close()
