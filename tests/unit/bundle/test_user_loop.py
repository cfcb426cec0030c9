"""Coroutines share a loop, and one that blocks it holds up nobody else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from counterstep.bundle import user_loop
from counterstep.bundle.user_loop import UserCall


def running(name: str, work: Coroutine[Any, Any, Any]) -> tuple[UserCall, asyncio.Future[Any]]:
    call = UserCall(name, work)
    call.start()
    return call, call.outcome


async def thread_after(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return threading.get_ident()


async def blocks(seconds: float) -> int:
    time.sleep(seconds)  # noqa: ASYNC251 - the fault
    return threading.get_ident()


async def test_calls_share_one_loop() -> None:
    calls = [running("look", thread_after(0.01))[1] for _ in range(5)]
    threads = set(await asyncio.gather(*calls))
    assert len(threads) == 1 and threading.get_ident() not in threads


async def test_a_call_that_blocks_holds_up_no_other_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(user_loop, "BLOCKED_SECONDS", 0.05)
    _, slow = running("shop.slow", blocks(1.5))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    quick = [running("shop.quick", thread_after(0))[1] for _ in range(3)]
    threads = set(await asyncio.gather(*quick))
    assert time.monotonic() - began < 1.2
    assert len(threads) == 1 and not slow.done()
    assert "shop.slow" in caplog.text and "plain function" in caplog.text
    blocked = await slow
    await asyncio.sleep(0.1)
    assert await running("shop.quick", thread_after(0))[1] == blocked, "the first loop is used again"


async def test_a_call_can_be_stopped_before_and_after_it_has_begun() -> None:
    for pause in (0.0, 0.1):
        call, outcome = running("look", thread_after(30))
        await asyncio.sleep(pause)
        call.stop()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(outcome, 10)


async def test_a_call_that_has_not_begun_leaves_a_loop_that_is_blocked_at_the_same_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user_loop, "BLOCKED_SECONDS", 0.05)
    _, slow = running("shop.slow", blocks(0.8))
    _, quick = running("shop.quick", thread_after(0))
    thread = await quick
    assert not slow.done()
    assert await slow != thread


async def test_who_has_blocked_once_runs_apart_and_holds_up_nobody_who_has_begun(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(user_loop, "BLOCKING_SECONDS", 0.05)
    shared = await running("shop.quick", thread_after(0))[1]
    assert await running("shop.busy", blocks(0.06))[1] == shared
    assert "the async function shop.busy has blocked the event loop" in caplog.text
    _, quick = running("shop.quick", thread_after(0.01))
    _, busy = running("shop.busy", blocks(0.4))
    assert await quick == shared and not busy.done()
    assert await busy == await running("shop.busy", thread_after(0))[1] != shared


async def test_a_call_wakes_its_caller_once(monkeypatch: pytest.MonkeyPatch) -> None:
    await running("look", thread_after(0))[1]
    caller, woken = asyncio.get_running_loop(), 0
    wake = caller.call_soon_threadsafe

    def counted(*args: Any, **options: Any) -> asyncio.Handle:
        nonlocal woken
        woken += 1
        return wake(*args, **options)

    monkeypatch.setattr(caller, "call_soon_threadsafe", counted)
    await running("look", thread_after(0))[1]
    assert woken == 1


def test_a_call_whose_caller_is_gone_leaves_the_loop_to_others() -> None:
    ended = threading.Event()

    async def late() -> int:
        await asyncio.sleep(0.1)
        ended.set()
        return threading.get_ident()

    async def begin() -> None:
        running("look", late())
        await asyncio.sleep(0.02)

    asyncio.run(begin())
    assert ended.wait(5)

    async def again() -> int:
        thread: int = await running("look", thread_after(0))[1]
        return thread

    assert asyncio.run(again()) != threading.get_ident()
