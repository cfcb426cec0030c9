"""``counterstep worker``: a worker in the foreground."""

from __future__ import annotations

import logging
import sys

from ..arguments.options import Address, Bundles, Codec, Namespace, TaskQueue


def worker(
    bundle: Bundles = None,
    task_queue: TaskQueue = None,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
) -> None:
    """Run a worker until Ctrl-C or SIGTERM, which let its running calls finish.

    Without an address it works for the embedded server of this folder, if that runs.
    """
    import asyncio

    from ...observability.logs import configure_logs
    from ...runtime.settings import read_settings
    from ...worker import serve
    from ..arguments.overrides import bundle_names
    from ..arguments.server_target import find_target

    settings = read_settings()
    settings = settings.model_copy(
        update={
            "bundles": bundle_names(bundle, settings),
            "task_queue": task_queue or settings.task_queue,
        }
    )
    configure_logs(
        logging.StreamHandler(sys.stderr), json=settings.log_format == "json", level=settings.log_level
    )
    target = find_target(address, namespace, codec)
    settings = settings.model_copy(update={"codec": codec or settings.codec})
    asyncio.new_event_loop().run_until_complete(serve(settings, target.config))
