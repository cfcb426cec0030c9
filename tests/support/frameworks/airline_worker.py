"""Workers of the airline, in this process and in one that a test can really kill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.openai_agents import ModelActivityParameters, OpenAIAgentsPlugin
from temporalio.worker import Worker

from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.frameworks.airline_after import UndoableCustomerService, airline
from counterstep.tests.support.frameworks.airline_before import ACTIVITIES, CustomerService
from counterstep.tests.support.frameworks.openai_script import ScriptedProvider
from counterstep.tests.support.processes.forked import Forked
from counterstep.tests.support.processes.worker_process import serve, worker_process


@asynccontextmanager
async def airline_worker(address: str, task_queue: str) -> AsyncIterator[Client]:
    """Runs a worker that has the customer service as it was, and as it is after the change."""
    theirs = OpenAIAgentsPlugin(
        model_params=ModelActivityParameters(start_to_close_timeout=timedelta(seconds=3)),
        model_provider=ScriptedProvider(),
    )
    client = await Client.connect(address, plugins=[theirs, CounterstepPlugin([airline])])
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=[CustomerService, UndoableCustomerService],
        activities=ACTIVITIES,
        activity_executor=ThreadPoolExecutor(20),
        max_concurrent_activities=40,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
    ):
        yield client


def airline_process(address: str, task_queue: str) -> AbstractContextManager[Forked]:
    """Starts such a worker in a process of its own, and waits until it works; ``kill()`` is kill -9."""
    return worker_process(address, task_queue, _work)


def _work(address: str, task_queue: str) -> None:
    asyncio.run(serve(airline_worker(address, task_queue)))
