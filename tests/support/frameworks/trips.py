"""The trips of the pages on frameworks: ten at once are killed or cancelled, each at another moment."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client, Plugin, WorkflowFailureError, WorkflowHandle
from temporalio.worker import Worker

from counterstep.plugin import CounterstepPlugin
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.tests.support.processes.command import until_written
from counterstep.tests.support.processes.forked import Forked

TRIPS = 10

READY = "ready"


def travel_agent(body: dict[str, Any]) -> Behaviour:
    """Plays the model: flight and hotel at once, then the car; the turn is told by what it has said."""
    messages = body["messages"]
    wishes = next(message["content"] for message in messages if message["role"] == "user")
    trip, to = re.findall(r"trip (\S+) to (\w+)", str(wishes))[0]
    said = sum(message["role"] == "assistant" for message in messages)
    asked = [("book_flight", "book_hotel"), ("book_car",)]
    if said < len(asked):
        return Behaviour.calls(*(call(name, trip=trip, to=to) for name in asked[said])).with_(delay=0.1)
    return Behaviour.text("All is booked.").with_(delay=0.1)


@dataclass(frozen=True)
class Left:
    """What trips have left behind.

    Attributes:
        completed: How many have completed.
        booked: How many bookings each had when it was torn off, in the order of their starts.
        orphans: Bookings that stand for a trip that has not completed, or twice for one that has.
    """

    completed: int
    booked: tuple[int, ...]
    orphans: int

    def __str__(self) -> str:
        at = ", ".join(map(str, self.booked))
        return f"torn off at {at} bookings, {self.completed} of {TRIPS} completed, {self.orphans} orphans"


class TripWorker:
    """A worker in a process of its own, which runs the trips of a page's `before.py` or `after.py`.

    Attributes:
        process: The process.
    """

    def __init__(self, address: str, framework: str, module: str, folder: Path) -> None:
        self._address = address
        self._framework = framework
        self._module = module
        self._folder = folder
        self._task_queue = f"{framework}-{module}-{uuid4()}"
        self.process: Forked

    async def torn_off(self) -> dict[str, Left]:
        """Kills the worker under ten trips, and cancels ten others."""
        await asyncio.to_thread(self.start)
        try:
            return {"killed": await self.killed(), "cancelled": await self.cancelled()}
        finally:
            await asyncio.to_thread(self.kill)

    def start(self) -> None:
        """Starts it, and waits until it works."""
        with tempfile.NamedTemporaryFile() as said:
            told = Path(said.name)
            arguments = (self._address, self._task_queue, self._framework, self._module)
            self.process = Forked(_work, *arguments, folder=self._folder, environment=os.environ, stderr=told)
            until_written(told, READY)

    def kill(self) -> None:
        """Ends it with kill -9."""
        self.process.kill()
        self.process.wait()

    async def killed(self) -> Left:
        """Kills the worker under trips that are under way, just when one books; another worker goes on.

        Every other trip is cancelled meanwhile.
        """
        trips = await self._under_way()
        before = _count(trips)
        while _count(trips) == before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self.process.kill()
        booked = tuple(len(bookings_of(trip.id)) for trip in trips)
        await asyncio.to_thread(self.kill)
        await asyncio.gather(*(trip.cancel() for trip in trips[1::2]))
        await asyncio.to_thread(self.start)
        return await _left(trips, booked)

    async def cancelled(self) -> Left:
        """Cancels trips that are under way."""
        trips = await self._under_way()
        booked = tuple(len(bookings_of(trip.id)) for trip in trips)
        await asyncio.gather(*(trip.cancel() for trip in trips))
        return await _left(trips, booked)

    async def _under_way(self) -> list[WorkflowHandle[Any, Any]]:
        """Starts trips one after the other, so that the last begins when the first is about to end."""
        client = await Client.connect(self._address)
        await (await self._start(client)).result()
        began = time.monotonic()
        await (await self._start(client)).result()
        pause = 1.3 * (time.monotonic() - began) / TRIPS  # many at once are slower
        trips = []
        for _ in range(TRIPS):
            trips.append(await self._start(client))
            await asyncio.sleep(pause)
        return trips

    async def _start(self, client: Client) -> WorkflowHandle[Any, Any]:
        id_ = f"trip-{uuid4().hex}"
        wishes = f"I want a trip {id_} to Rome"
        return await client.start_workflow("Trip", wishes, id=id_, task_queue=self._task_queue)


def _count(trips: list[WorkflowHandle[Any, Any]]) -> int:
    return sum(len(bookings_of(trip.id)) for trip in trips)


def bookings_of(trip: str) -> list[str]:
    """What is booked for a trip."""
    with closing(sqlite3.connect(os.environ["BOOKINGS"], timeout=30)) as db:
        rows = db.execute("select what from bookings where trip = ? and state = 'booked'", (trip,))
        return [str(what) for (what,) in rows.fetchall()]


async def _left(trips: list[WorkflowHandle[Any, Any]], booked: tuple[int, ...]) -> Left:
    completed = orphans = 0
    for trip in trips:
        try:
            await trip.result()
        except WorkflowFailureError:
            orphans += len(bookings_of(trip.id))
            continue
        completed += 1
        times = Counter(bookings_of(trip.id))
        assert len(times) == 3, f"{trip.id} has completed with {times}"
        orphans += times.total() - len(times)
    return Left(completed, booked, orphans)


def _work(address: str, task_queue: str, framework: str, module: str) -> None:
    sys.path.insert(0, str(Path.cwd()))
    asyncio.run(_serve(address, task_queue, framework, importlib.import_module(module)))


async def _serve(address: str, task_queue: str, framework: str, page: Any) -> None:
    plugins = [_theirs(framework, page)]
    if page.__name__ == "after":
        plugins.append(CounterstepPlugin([importlib.import_module("bookings").bookings]))
    client = await Client.connect(address, plugins=plugins)
    async with Worker(
        client,
        task_queue=task_queue,
        max_concurrent_activities=2 * TRIPS,
        workflows=[page.Trip],
        activities=getattr(page, "activities", ()),
        activity_executor=ThreadPoolExecutor(2 * TRIPS),
        # As the plugin has it: nobody waits long for a worker that is dead.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
    ):
        sys.stderr.write(f"{READY}\n")
        await asyncio.Event().wait()


def _theirs(framework: str, page: Any) -> Plugin:
    plugin: Plugin
    if framework == "langgraph":
        from temporalio.langgraph import LangGraphPlugin

        plugin = LangGraphPlugin(graphs={"travel": page.travel})
    elif framework == "openai_agents":
        plugin = page.theirs
    else:
        from pydantic_ai.durable_exec.temporal import PydanticAIPlugin

        plugin = PydanticAIPlugin()
    return plugin
