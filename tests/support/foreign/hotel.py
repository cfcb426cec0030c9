"""A hotel and its guests: a bundle that is served over A2A, and one that asks it as an agent."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from counterstep import A2AAgent, Bundle, Effect, Undo
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.foreign.served import note, take_back_of
from counterstep.tests.support.processes.worker_process import serve
from counterstep.tests.support.tasks.tasks import End, end_of

HOTEL = "HOTEL_URL"
"""The variable with the address of the hotel."""

hotel = Bundle("hotel")


@hotel.compensation
def free_room(undo: Undo[str]) -> None:
    """Frees a room."""
    take_back_of(undo.idempotency_key)


@hotel.tool(compensate=free_room)
def book_room(city: str, seconds: float) -> str:
    """Books a room, which takes a while."""
    booked = note(f"room in {city}")
    time.sleep(seconds)
    return booked


hotel.add_task(
    {
        "name": "stay",
        "goal": "Book a room.",
        "input": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string"}, "seconds": {"type": "number"}},
        },
        "steps": [
            {
                "id": "book",
                "tool": "hotel.book_room",
                "input": {
                    "city": "${{ task.city }}",
                    "seconds": "${{ has(task.seconds) ? task.seconds : 0 }}",
                },
            }
        ],
        "output": {"room": "${{ steps.book.output }}"},
    }
)


class Stay(BaseModel):
    """What the hotel answers."""

    room: str


def guests(url: str, **said: Any) -> Bundle:
    """Returns the bundle that asks the hotel."""
    bundle = Bundle("guests")

    @bundle.compensation
    def cancel_stay(undo: Undo[Stay]) -> None:
        """Notes what it is told: a real one would ask the hotel to cancel."""
        note(f"cancelled {undo.output.room if undo.output else 'what nobody knows'}")

    @bundle.tool(effect=Effect.READ_ONLY)
    def fail() -> str:
        """Fails for good."""
        raise ApplicationError("too late", non_retryable=True)

    declared: dict[str, Any] = {
        "name": "hotel",
        "description": "Books rooms.",
        "url": url,
        "output": Stay,
        "compensate": cancel_stay,
        "metadata": {"task": "hotel.stay"},
        **said,
    }
    bundle.add(A2AAgent(**declared))
    step = {"id": "stay", "agent": "guests.hotel", "input": "${{ task }}", "retry": {"initial": "100ms"}}
    given = {"type": "object"}
    shown = "${{ steps.stay.output }}"
    bundle.add_task({"name": "visit", "input": given, "steps": [step], "output": shown})
    late = {"id": "late", "needs": ["stay"], "tool": "guests.fail", "input": {}}
    bundle.add_task({"name": "late", "input": given, "steps": [step, late], "output": shown})
    return bundle


async def visited(client: Client, queue: str, given: Any, task: str = "guests.visit") -> End:
    """Has the guests do one of their tasks, and returns how it ends."""
    handle = await client.start_workflow(task, given, id=f"visit-{uuid4()}", task_queue=queue)
    return await end_of(handle)


def guest_worker(address: str, task_queue: str) -> None:
    """A worker of the guests in a process of its own."""
    asyncio.run(serve(_guest_worker(address, task_queue)))


@asynccontextmanager
async def _guest_worker(address: str, task_queue: str) -> AsyncIterator[Worker]:
    plugin = CounterstepPlugin(bundles=[guests(os.environ[HOTEL])], sticky_timeout=timedelta(seconds=1))
    client = await Client.connect(address, plugins=[plugin])
    async with Worker(client, task_queue=task_queue) as worker:
        yield worker
