"""Tools with a circuit breaker: what counts as a failure, and what an open one says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from counterstep.activities import tool_breaker
from counterstep.pool_limits.breakers import Breakers
from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.pool_limits.rules import BreakerRules
from counterstep.pool_limits.store import PoolStore, StoreUnreachable

TOOL = "shop.charge"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_breaker, "PATIENCE", 0.1)


class Charges:
    """A tool behind a breaker that two failures open."""

    def __init__(self, store: PoolStore | None = None, cool_down: float = 30) -> None:
        rules = BreakerRules(failures=2, cool_down=timedelta(seconds=cool_down), tools=(TOOL,))
        self._breakers = Breakers(rules, store or MemoryStore())
        self.calls = 0

    async def call(
        self, error: BaseException | None = None, *, attempt: int = 1, takes: float = 0, within: float = 60
    ) -> Any:
        async def run() -> str:
            self.calls += 1
            await asyncio.sleep(takes)
            if error is not None:
                raise error
            return "charged"

        environment = ActivityEnvironment()
        timeout = timedelta(seconds=within)
        environment.info = replace(
            environment.info, activity_type=TOOL, attempt=attempt, start_to_close_timeout=timeout
        )

        async def guarded() -> Any:
            return await tool_breaker.behind_breaker(self._breakers, run)

        return await environment.run(guarded)

    async def failed(self, error: BaseException | None = None, **how: Any) -> BaseException:
        with pytest.raises(Exception) as caught:
            await self.call(error, **how)
        return caught.value


def final(type_: str) -> ApplicationError:
    return ApplicationError("no", type=type_, non_retryable=True)


async def test_ordinary_exceptions_open_it_and_nothing_is_called_then() -> None:
    charges = Charges()
    for _ in range(2):
        assert isinstance(await charges.failed(OSError("the bank is away")), OSError)
    error = await charges.failed()
    assert isinstance(error, ApplicationError)
    assert (error.type, error.non_retryable, charges.calls) == ("BreakerOpen", True, 2)
    assert "the bank is away" in error.message
    details = error.details[0]
    assert (details["limit"], details["attempt"]) == (TOOL, 1)
    ahead = datetime.fromisoformat(details["until"]) - datetime.now(UTC)
    assert timedelta(seconds=25) < ahead <= timedelta(seconds=30)


async def test_only_the_first_attempt_vouches_for_the_call() -> None:
    charges = Charges()
    for _ in range(2):
        await charges.failed(OSError())
    error = await charges.failed(attempt=2)
    assert isinstance(error, ApplicationError)
    assert (error.type, error.non_retryable, error.details[0]["attempt"]) == ("BreakerOpen", False, 2)
    assert error.next_retry_delay is not None and error.next_retry_delay > timedelta(seconds=20)


@pytest.mark.parametrize("error", [final("NotApplied"), final("InvalidInput"), final("CardRefused")])
async def test_what_is_refused_for_good_opens_nothing(error: ApplicationError) -> None:
    charges = Charges()
    for _ in range(4):
        assert await charges.failed(error) is error
    assert await charges.call() == "charged"


async def test_a_call_that_takes_too_long_counts_though_it_ends_well() -> None:
    charges = Charges()
    for _ in range(2):
        assert await charges.call(takes=0.15, within=0.1) == "charged"
    assert "no answer within 100ms" in str(await charges.failed())


async def test_a_probe_decides() -> None:
    charges = Charges(cool_down=0.2)
    for _ in range(2):
        await charges.failed(OSError())
    await asyncio.sleep(0.25)
    probe = asyncio.create_task(charges.call(takes=0.2))
    await asyncio.sleep(0.05)
    assert "BreakerOpen" in str(await charges.failed())
    assert await probe == "charged"
    assert await charges.call() == "charged"
    assert charges.calls == 4


async def test_where_the_store_is_away_calls_go_through() -> None:
    class Gone(MemoryStore):
        async def ask(self, *_: Any) -> Any:
            raise StoreUnreachable("it is gone")

        report = ask  # type: ignore[assignment]

    charges = Charges(Gone())
    for _ in range(3):
        assert isinstance(await charges.failed(OSError()), OSError)
    assert await charges.call() == "charged"
