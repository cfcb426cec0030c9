"""Works on the incidents of the example `incident_response`."""

from __future__ import annotations

import asyncio

from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.processes.worker_process import serve
from examples.incident_response import script
from examples.incident_response.bundle import incident


async def client_of(address: str) -> Client:
    """Connects; the script plays the models."""
    return await Client.connect(address, plugins=[CounterstepPlugin([incident], model=script.MODEL)])


def work_on_incidents(address: str, task_queue: str) -> None:
    """Works for ever, as a process of its own."""

    async def run() -> None:
        await serve(Worker(await client_of(address), task_queue=task_queue))

    asyncio.run(run())
