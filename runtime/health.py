"""The health check for containers: does a worker on this machine ask its queue for work?

Run it as ``python -m counterstep.runtime.health``.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import NoReturn

from temporalio.service import RPCError

from ..saga.errors import CounterstepError
from .connection import connect, has_workers, read_connection
from .process import end_process
from .settings import read_settings


async def _polls() -> bool:
    settings = read_settings()
    client = await connect(read_connection())
    return await has_workers(client, settings.task_queue, host=socket.gethostname())


def main() -> NoReturn:
    """Exits with 0 if the worker that the environment describes polls, and with 1 if not."""
    reason = "no worker on this machine has asked for work lately"
    try:
        healthy = asyncio.new_event_loop().run_until_complete(_polls())
    except CounterstepError as error:
        healthy, reason = False, str(error)
    except RPCError as error:
        healthy, reason = False, error.message
    if not healthy:
        sys.stdout.write(f"{reason}\n")
    end_process(0 if healthy else 1)


if __name__ == "__main__":
    main()
