"""From settings to a client to a worker, and nothing else. It also runs as ``python worker.py``."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, NoReturn

from temporalio.client import Client
from temporalio.envconfig import ClientConnectConfig
from temporalio.worker import Worker

from counterstep.bundle.bundle import Bundle
from counterstep.bundle.loading import load_bundles
from counterstep.observability.logs import configure_logs, drop_other_handlers
from counterstep.observability.queue_check import identity_of_worker, watch_queue
from counterstep.observability.redaction import hide
from counterstep.plugin import CounterstepPlugin, Webhook
from counterstep.pool_limits.pool import store_faults
from counterstep.runtime.codec import load_codec
from counterstep.runtime.connection import DEFAULT_ADDRESS, connect, log_through_python, read_connection
from counterstep.runtime.process import end_process, keep_what_is_loaded
from counterstep.runtime.settings import Settings, SettingsError, read_settings
from counterstep.saga.errors import CounterstepError, DefinitionError, Fault, ServerUnavailable, SpecError

OVERTIME: Final = timedelta(seconds=10)
"""How long calls may take to notice that they are cancelled, once the graceful shutdown is over."""

STICKY_TIMEOUT: Final = timedelta(seconds=1)
"""After a worker was killed, its tasks stand still for this long, and then go on elsewhere."""

HEARTBEAT_THROTTLE: Final = timedelta(seconds=3)
"""By its heartbeats a call hears of a cancel; the SDK would hold them back for 8 s of their 10 s."""

logger = logging.getLogger("counterstep.worker")


async def serve(settings: Settings, config: ClientConnectConfig) -> None:
    """Runs a worker until SIGTERM or SIGINT, which drain it: it takes no new work and finishes running calls.

    A second signal ends the process at once.

    Args:
        settings: What to offer, and on which queue.
        config: Where the Temporal server is.

    Raises:
        SettingsError: No bundle is named, or the Redis cannot be reached.
        SpecError: The limits file has faults.
        DefinitionError: A bundle or the codec cannot be loaded, a bundle cannot be served, or the keys of
            signed decisions or the webhook cannot be used.
        ServerUnavailable: The server cannot be reached, or has refused the worker for good.
    """
    if not settings.bundles:
        message = "names no bundle; name one as module:attribute, here or with --bundle"
        raise SettingsError([Fault("COUNTERSTEP_BUNDLES", message)])
    bundles = load_bundles(settings.bundles)
    away = await store_faults(settings.store)
    try:
        plugin = stock_plugin(bundles, settings, inline_specs=settings.inline_specs)
    except SpecError as refused:
        raise SpecError([*refused.faults, *away]) from None
    if away:
        raise SettingsError(away)
    hide(config.get("api_key") or "")
    hide(settings.notify_secret.get_secret_value() if settings.notify_secret is not None else "")
    codec = load_codec(settings.codec) if settings.codec is not None else None
    client = await connect(config, [plugin], codec=codec)
    offered = plugin.registry
    identity = identity_of_worker(offered.catalog, client.identity, offered.start_rules)
    worker = make_worker(client, settings.task_queue, settings.graceful_shutdown, identity)
    stopping = _stop_on_signals()
    running = asyncio.create_task(worker.run())
    telling = asyncio.create_task(_tell_when_it_polls(worker, settings, config))
    watching = asyncio.create_task(watch_queue(client, settings.task_queue, identity))
    await asyncio.wait({running, asyncio.create_task(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    watching.cancel()
    if running.done():
        error = running.exception()
        if isinstance(error, DefinitionError):
            raise error
        raise ServerUnavailable(f"The worker has stopped: {error}.")
    logger.info("draining: no new work; running calls have %s to finish", settings.graceful_shutdown)
    await stop_worker(worker, running, settings.graceful_shutdown)
    logger.info("worker stopped")


def stock_plugin(
    bundles: Iterable[Bundle], settings: Settings | None = None, *, inline_specs: bool = False
) -> CounterstepPlugin:
    """Makes the plugin of the workers that we start ourselves; no other program's workflows are on them.

    Args:
        bundles: What they offer.
        settings: The agents' default model, the keys of signed decisions, and the webhook; None for none of
            them.
        inline_specs: Whether callers may bring a spec of their own.

    Raises:
        DefinitionError: The bundles have faults, or the webhook cannot be used.
        SpecError: The limits file has faults, or the address of the Redis is not one.
    """
    settings = settings or Settings.model_construct()
    webhook = None
    if settings.notify_url is not None and settings.notify_secret is not None:
        secret = settings.notify_secret.get_secret_value()
        webhook = Webhook(settings.notify_url, secret, settings.inbox_url)
    return CounterstepPlugin(
        bundles,
        model=settings.model,
        inline_specs=inline_specs,
        any_task=True,
        sticky_timeout=STICKY_TIMEOUT,
        decision_keys=settings.decision_keys,
        decision_audience=settings.decision_audience,
        webhook=webhook,
        limits=settings.limits,
        redis_url=settings.store,
        unpriced_models=settings.unpriced_models,
    )


async def _tell_when_it_polls(worker: Worker, settings: Settings, config: ClientConnectConfig) -> None:
    """Notes when the worker begins to serve and all is loaded; a model client takes seconds."""
    while not worker.is_running:  # noqa: ASYNC110 (the SDK has no event for it)
        await asyncio.sleep(0.02)
    keep_what_is_loaded()
    where = config.get("target_host", DEFAULT_ADDRESS)
    logger.info(
        "worker started: %s on queue %r at %s", ", ".join(settings.bundles), settings.task_queue, where
    )


def make_worker(
    client: Client, task_queue: str, graceful_shutdown: timedelta, identity: str | None = None
) -> Worker:
    """Makes a worker from a client that has the plugin; the worker does not run yet.

    Args:
        client: A client with `CounterstepPlugin`.
        task_queue: The queue to serve.
        graceful_shutdown: How long running calls may take to finish once the worker is asked to stop.
        identity: Under which it asks for work; None for the identity of the client.

    Returns:
        The worker.

    Raises:
        DefinitionError: Temporal refuses a workflow or an activity of the bundles.
    """
    try:
        worker = Worker(
            client,
            task_queue=task_queue,
            identity=identity,
            graceful_shutdown_timeout=graceful_shutdown,
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        )
    except (RuntimeError, ValueError, TypeError) as error:
        text = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        reason = " ".join(text.partition("Stack backtrace:")[0].split())
        raise DefinitionError(f"the bundles cannot be served: {reason}") from error
    drop_other_handlers()
    return worker


async def stop_worker(worker: Worker, running: asyncio.Task[None], graceful_shutdown: timedelta) -> None:
    """Drains a worker, and gives up calls that have not ended long after the graceful shutdown.

    Another worker repeats such a call with the same key.
    """
    stopped = asyncio.create_task(worker.shutdown())
    limit = (graceful_shutdown + OVERTIME).total_seconds()
    _, late = await asyncio.wait({running, stopped}, timeout=limit)
    if late:
        logger.warning("some calls did not end in time; another worker will repeat them")


def main() -> NoReturn:
    """Runs the worker that the environment describes, and exits with 0 once it has drained."""
    code = 0
    try:
        settings = read_settings()
        configure_logs(
            logging.StreamHandler(sys.stderr), json=settings.log_format == "json", level=settings.log_level
        )
        log_through_python()
        asyncio.new_event_loop().run_until_complete(serve(settings, read_connection()))
    except CounterstepError as error:
        sys.stderr.write(f"{error}\n")
        code = 4 if isinstance(error, ServerUnavailable) else 2
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    end_process(code)


def _stop_on_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            end_process(128 + number)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows has no such handlers
            loop.add_signal_handler(number, stop, number)
    return stopping


if __name__ == "__main__":
    # Python looks for modules in a script's own folder first, and here that folder is the package itself. A
    # user's `bundle` would be mistaken for ours, and ours would be loaded under a second name.
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]
    main()
