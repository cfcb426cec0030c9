"""Runs the tasks of the example `trip`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.processes.worker_process import serve
from examples.trip.bundle import trip
from examples.trip.store import Store

ROME = {"origin": "Zurich", "destination": "Rome", "budget": 1000}
TOO_LITTLE = ROME | {"budget": 500}
OVERBOOKED = {"origin": "Zurich", "destination": "Venice", "budget": 5000}
TASKS = ["trip.trip", "BookTrip"]

Run = Callable[[str, dict[str, Any]], Awaitable[tuple[str, Any]]]
"""Runs a trip; gives its id, and its output or what its failure says."""


@asynccontextmanager
async def agency(server: EmbeddedServer, task_queue: str, model: str | None = None) -> AsyncIterator[Run]:
    plugin = CounterstepPlugin([trip], model=model)
    client = await Client.connect(server.address, plugins=[plugin])

    async def run(task: str, wishes: dict[str, Any]) -> tuple[str, Any]:
        trip_id = f"trip-{uuid4().hex}"
        handle = await client.start_workflow(task, wishes, id=trip_id, task_queue=task_queue)
        try:
            result = await handle.result()
        except WorkflowFailureError as error:
            assert isinstance(error.cause, ApplicationError)
            assert error.cause.type == "SagaRolledBack"
            return trip_id, error.cause.details[0]
        return trip_id, result.get("output", result)

    async with Worker(client, task_queue=task_queue):
        yield run


def states_of(store: Store, trip_id: str) -> dict[str | None, str]:
    rows = store.bookings(trip_id)
    states = {row.kind: row.state for row in rows}
    assert len(states) == len(rows)
    return states


async def client_of(address: str) -> Client:
    """Connects with specs of a test's own."""
    return await Client.connect(address, plugins=[CounterstepPlugin([trip], inline_specs=True)])


def work_as_agency(address: str, task_queue: str) -> None:
    """Works for ever, as a process of its own."""

    async def run() -> None:
        await serve(Worker(await client_of(address), task_queue=task_queue))

    asyncio.run(run())
