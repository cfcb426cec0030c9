"""Limits and breakers that all workers of a pool share in a Redis."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError

from .outcomes import OutcomeStore
from .redis_outcomes import RedisOutcomes
from .redis_scripts import ASK, REPORT, RESERVE, SETTLE
from .store import (
    BACK_SOON,
    DURATIONS_KEPT,
    DURATIONS_KEPT_FOR,
    FORGOTTEN_AFTER,
    KEPT,
    SETTLED_FOR,
    BreakerState,
    BreakerTerms,
    BreakerUse,
    BucketUse,
    Charge,
    End,
    Full,
    Passage,
    StoreUnreachable,
)

PREFIX = "{counterstep}:"
"""Begins all keys; the braces keep them on one machine of a cluster, as a script needs it."""

TIMEOUT = 2.0
"""Seconds for each step of a connection."""

LONGEST = 3.0
"""Seconds for a whole question: calls wait for the answer, and a Redis that hangs is as good as away."""

_DURATIONS = f"{PREFIX}duration:"
_BUCKET, _BOOKING, _BREAKER = f"{PREFIX}bucket:", f"{PREFIX}call:", f"{PREFIX}breaker:"


class RedisStore:
    """See `PoolStore`. Every method is one script, or one transaction, which Redis runs in one step."""

    is_shared = True

    def __init__(self, url: str) -> None:
        """Prepares to use a Redis; nothing is opened yet.

        Args:
            url: Where it is, e.g. ``redis://redis:6379/0``.

        Raises:
            ValueError: The address is not one.
        """
        self._url = url
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Redis] = WeakKeyDictionary()
        self.outcomes: OutcomeStore = RedisOutcomes(self._run, PREFIX)
        _expect_address(url)
        try:
            self._make().connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except (TypeError, AttributeError, RedisError):
            # Their messages are about parameters of classes that nobody has heard of.
            options = ", ".join(sorted(parse_qs(urlsplit(url).query)))
            scheme = urlsplit(url).scheme
            message = f"an option in it ({options}) does not exist, or does not go with {scheme}://"
            raise ValueError(message) from None

    async def open(self) -> None:
        """See `PoolStore`."""
        await _answered(self._client.ping())

    async def close(self) -> None:
        """See `PoolStore`."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def reserve(self, call: str, charges: Sequence[Charge], lease: int) -> Full | None:
        """See `PoolStore`."""
        keys = [_BOOKING + call, *map(_key, charges)]
        arguments: list[Any] = [call, lease, _BOOKING, BACK_SOON, KEPT]
        for charge in charges:
            arguments += [charge.limit, charge.label, charge.per, charge.amount, charge.cap]
        answer = await self._run(RESERVE, keys, arguments)
        if not answer:
            return None
        number, used, until, held = map(int, answer)
        return Full(charges[number - 1], used, None if until < 0 else until, held=bool(held))

    async def settle(self, call: str, spent: Mapping[str, int]) -> None:
        """See `PoolStore`."""
        amounts = [part for limit, amount in spent.items() for part in (limit, amount)]
        await self._run(SETTLE, [_BOOKING + call], [call, SETTLED_FOR, *amounts])

    async def ask(self, breaker: str, token: str, lease: int) -> Passage:
        """See `PoolStore`."""
        answer = await self._run(ASK, [_BREAKER + breaker], [token, lease, BACK_SOON, FORGOTTEN_AFTER])
        may_pass, probe, until, reason = answer
        return Passage(bool(int(may_pass)), probe or None, int(until), reason)

    async def report(
        self, breaker: str, end: End, terms: BreakerTerms, probe: str | None = None, reason: str = ""
    ) -> BreakerState | None:
        """See `PoolStore`."""
        if end is not End.BAD and probe is None:
            return None
        given = [end.value, probe or "", reason, terms.failures, terms.within, terms.cool_down]
        answer = await self._run(REPORT, [_BREAKER + breaker], [*given, FORGOTTEN_AFTER])
        return BreakerState(answer) if answer else None

    async def keep_durations(self, name: str, milliseconds: Sequence[int]) -> None:
        """See `PoolStore`."""
        key = _DURATIONS + name
        changes = self._client.pipeline()
        changes.lpush(key, *milliseconds)
        changes.ltrim(key, 0, DURATIONS_KEPT - 1)
        changes.pexpire(key, DURATIONS_KEPT_FOR)
        await _answered(changes.execute())

    async def durations(self, names: Sequence[str]) -> dict[str, list[int]]:
        """See `PoolStore`."""
        asked = self._client.pipeline()
        for name in names:
            asked.lrange(_DURATIONS + name, 0, DURATIONS_KEPT - 1)
        told = await _answered(asked.execute()) if names else []
        return {name: [int(one) for one in found] for name, found in zip(names, told, strict=True) if found}

    async def buckets(self) -> list[BucketUse]:
        """See `PoolStore`."""
        now = await self._now()
        found = []
        async for key in self._keys(_BUCKET):
            if key.endswith(":open"):
                continue
            told = await _answered(self._client.hgetall(key))
            if not told or int(told["ends"]) <= now:
                continue
            limit, unit = key.removeprefix(_BUCKET).split(":")[:2]
            calls = await _answered(self._client.zrangebyscore(f"{key}:open", f"({now}", "+inf"))
            amounts = [await _answered(self._client.hget(_BOOKING + call, f"a:{limit}")) for call in calls]
            reserved = sum(int(amount or 0) for amount in amounts)
            use = BucketUse(limit, told["label"], unit, int(told["used"]), reserved, int(told["ends"]))
            found.append(use)
        return sorted(found, key=lambda use: (use.limit, use.label))

    async def breakers(self) -> list[BreakerUse]:
        """See `PoolStore`."""
        now = await self._now()
        found: dict[str, BreakerUse] = {}
        async for key in self._keys(_BREAKER):
            name = key.removeprefix(_BREAKER).removesuffix(":failed")
            told = await _answered(self._client.hgetall(_BREAKER + name))
            if not told:
                failures = await _answered(self._client.llen(key))
                found[name] = BreakerUse(name, BreakerState.CLOSED, failures, None, "")
                continue
            probing = "probe" in told and now < int(told["probe_ends"])
            state = BreakerState.PROBING if probing else BreakerState.OPEN
            found[name] = BreakerUse(name, state, int(told["opened_by"]), int(told["until"]), told["reason"])
        return [found[name] for name in sorted(found)]

    @property
    def _client(self) -> Redis:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = self._make()
        return client

    def _make(self) -> Redis:
        return Redis.from_url(
            self._url,
            decode_responses=True,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            # A connection may have been idle for long. What is sent twice counts once.
            retry=Retry(ConstantBackoff(0.05), 1),
        )

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        return await _answered(self._client.register_script(script)(keys=keys, args=arguments))

    async def _now(self) -> int:
        seconds, microseconds = await _answered(self._client.time())
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def _keys(self, prefix: str) -> AsyncIterator[str]:
        keys = self._client.scan_iter(match=f"{prefix}*", count=1000)
        seen: set[str] = set()
        while True:
            try:
                key = await _answered(anext(keys))
            except StopAsyncIteration:
                return
            if key not in seen:  # a Redis that grows meanwhile tells some twice
                seen.add(key)
                yield key


def _expect_address(url: str) -> None:
    """Raises `ValueError` where that is not an address, or a part of it would be passed over.

    No message repeats a part of the address that could be one of a password.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        hint = "in a password, / is written %2F, # %23, ? %3F, @ %40, [ %5B and ] %5D"
        raise ValueError(f"its host or its port is not one; {hint}") from None
    database = parts.path.strip("/")
    if parts.scheme in ("redis", "rediss") and database and not database.isdecimal():
        raise ValueError("what follows the host is the number of the database, as in redis://redis:6379/0")


async def _answered(question: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(LONGEST):
            return await question
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnreachable(str(error) or f"no answer within {LONGEST:g} s") from error


def _key(charge: Charge) -> str:
    """Names a bucket but for its window."""
    digest = hashlib.sha256(charge.label.encode()).hexdigest()[:32]
    return f"{_BUCKET}{charge.limit}:{charge.unit}:{charge.per}:{digest}"
