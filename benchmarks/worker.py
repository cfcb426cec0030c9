"""A worker in a process of its own: ``python -m benchmarks.worker ADDRESS QUEUE``.

It prints a line when it is ready, and for each line on its standard input the CPU seconds it has used.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time

from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.by_hand import ACTIVITIES, SagaByHand, SagaInSearch
from benchmarks.ours import bench
from counterstep.plugin import CounterstepPlugin
from counterstep.runtime.process import keep_what_is_loaded


async def main(address: str, queue: str) -> None:
    """Serves one of the two sagas until the standard input ends."""
    # The fault of the fifth step is expected, and logging it would cost one side more than the other.
    logging.disable(logging.WARNING)
    ours = queue.startswith("ours")
    client = await Client.connect(address, plugins=[CounterstepPlugin([bench])] if ours else [])
    if ours:
        worker = Worker(client, task_queue=queue)
    else:
        worker = Worker(client, task_queue=queue, workflows=[SagaByHand, SagaInSearch], activities=ACTIVITIES)
    async with worker:
        # What `counterstep worker` does once it serves; here both sides do it.
        keep_what_is_loaded()
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(time.process_time(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)
