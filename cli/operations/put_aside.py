"""Ends what nobody awaits any more."""

from __future__ import annotations

import asyncio
from typing import Any


async def put_aside(*tasks: asyncio.Task[Any]) -> None:
    """Ends tasks that nobody awaits any more; otherwise asyncio would tell how they end later."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
