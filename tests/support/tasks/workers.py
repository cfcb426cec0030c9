"""Workers of four bundles: whole ones, and in halves, so that a test decides what comes together."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.activities.bundle_activities import bundled_activities
from counterstep.compensations.bundle_compensations import bundled_compensations
from counterstep.plugin import CounterstepInterceptor, CounterstepPlugin
from counterstep.tests.support.bundles.claims import claims
from counterstep.tests.support.bundles.crew import crew
from counterstep.tests.support.bundles.desk import desk
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.tasks.tasks import Tasks
from counterstep.tests.support.workflows.sagas import Errand, ErrandsInTurn, HastyErrand, errands

WORKFLOWS: list[type] = [Errand, ErrandsInTurn, HastyErrand]

THREADS = ThreadPoolExecutor(10)
"""For plain activities; tools have threads already."""


def plugin() -> CounterstepPlugin:
    """The plugin of all workers here; keys of signed decisions are those of the environment."""
    keys = os.environ.get("COUNTERSTEP_DECISION_KEYS")
    return CounterstepPlugin([desk, errands, till, crew, claims], inline_specs=True, decision_keys=keys)


@asynccontextmanager
async def errand_worker(address: str, task_queue: str, **options: Any) -> AsyncIterator[Tasks]:
    """Runs a worker with these options of Temporal's."""
    client = await Client.connect(address, plugins=[plugin()])
    async with Worker(
        client, task_queue=task_queue, workflows=WORKFLOWS, activity_executor=THREADS, **options
    ):
        yield Tasks(client, task_queue)


class HalfWorkers:
    """Runs activities all the time, and workflows only when it is told to.

    Attributes:
        tasks: Starts tasks on the queue of both halves.
    """

    def __init__(self, tasks: Tasks) -> None:
        self.tasks = tasks

    def workflows(self) -> Worker:
        """A worker that runs workflows and local activities; an async context manager."""
        return Worker(
            self.tasks.client,
            task_queue=self.tasks.task_queue,
            workflows=WORKFLOWS,
            activity_executor=THREADS,
            no_remote_activities=True,
        )


@asynccontextmanager
async def half_workers(address: str, task_queue: str) -> AsyncIterator[HalfWorkers]:
    """Starts the half that runs activities."""
    ours = plugin()
    registry = ours.registry
    client = await Client.connect(address)
    async with Worker(
        client,
        task_queue=task_queue,
        activities=[*bundled_activities(registry), *bundled_compensations(registry), *registry.activities],
        interceptors=[CounterstepInterceptor()],
        activity_executor=THREADS,
    ):
        yield HalfWorkers(Tasks(await Client.connect(address, plugins=[ours]), task_queue))


def is_trouble(record: logging.LogRecord) -> bool:
    """Says whether a log line tells of a failed workflow task or a failed eviction."""
    return record.levelno >= logging.WARNING and record.name.startswith(("temporalio.worker", "asyncio"))
