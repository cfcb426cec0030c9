"""How often a long list is asked for, however many browsers look at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.client import Client

from counterstep.inbox import waiting_tasks
from counterstep.inbox.waiting_tasks import WaitingTasks


async def test_a_list_that_takes_long_is_asked_for_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def search(*arguments: Any) -> AsyncIterator[Any]:
        asked.append(arguments)
        await asyncio.sleep(0.1 if len(asked) < 2 else 0)
        return
        yield

    monkeypatch.setattr(waiting_tasks, "search", search)
    monkeypatch.setattr(waiting_tasks, "_FRESH", 0)
    waiting = WaitingTasks(await Client.connect("127.0.0.1:1", lazy=True))
    await asyncio.gather(*(waiting.find() for _ in range(20)))
    assert len(asked) == 1, "it is good for a second"
    waiting._fresh_until = 0
    await waiting.find()
    await asyncio.sleep(0.05)
    await waiting.find()
    assert len(asked) == 3, "it was quick this time"
