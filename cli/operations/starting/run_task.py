"""Runs one task to its end: starts it once, runs a worker for it if needed, and shows its progress."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from typing import Any, Final
from uuid import uuid4

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from ....bundle.bundle import Bundle
from ....client.forks.fork_plan import ForkPlan
from ....client.outcome import Outcome, left_running, outcome_of
from ....client.recovery import with_recovery
from ....client.start_once import AGENT_TASK, Started, find_started, spec_document, start_once
from ....observability.logs import configure_logs
from ....pool_limits.pool import store_faults
from ....runtime.connection import has_workers, log_through_python
from ....runtime.settings import Settings, SettingsError
from ....worker import make_worker, stock_plugin, stop_worker
from ...arguments.server_target import ServerTarget
from ...arguments.task_request import TaskRequest
from ...errors import CommandFailed, as_failure
from ...exit_codes import ExitCode
from ...terminal.live_board import open_view
from ...terminal.output import say
from ...terminal.signals import Signals
from ..answer_prompt import AnswerPrompt
from ..give_up_unknown import give_up_unknown
from ..task_watch import ENDED_SECONDS, TaskWatch, Watched, miss_workers

LOG_BYTES: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """Says what ``run`` is to do.

    Attributes:
        request: The task, or the fork of one.
        workflow_id: The value of ``--id``, or None for a new id.
        bundles: The bundles of the worker in this process; empty if other workers run the task.
        bundle_names: The same bundles as ``module:attribute``.
        task_queue: The queue that was asked for; None for a queue of the task's own, or the workers' usual
            queue.
        settings: The settings from the environment.
        target: The server.
        notice: The first line for people; may be empty.
        by: Who answers at the terminal what the task asks; None for the user of this machine.
    """

    request: TaskRequest | ForkPlan
    workflow_id: str | None
    bundles: Sequence[Bundle]
    bundle_names: Sequence[str]
    task_queue: str | None
    settings: Settings
    target: ServerTarget
    notice: str
    by: str | None = None


async def run_job(job: Job) -> tuple[Outcome, Any]:
    """Runs a job.

    Args:
        job: A job whose request has been checked.

    Returns:
        The outcome, and the task's result or the error that ended it.

    Raises:
        CommandFailed: No worker is there.
        SettingsError: The Redis of the pool cannot be reached.
        CounterstepError: The server does not answer, the id is in use, or the bundles cannot be served.
        RPCError: The server has stopped answering.
    """
    if job.notice:
        say(job.notice)
    _log_to_file(job.target, job.settings)
    log_through_python()
    bundles, settings = job.bundles, job.settings
    away = await store_faults(settings.store) if bundles else []
    if away:
        raise SettingsError(away)
    plugins = [stock_plugin(bundles, settings, inline_specs=True)] if bundles else []
    return await _Run(job, await job.target.connect(plugins)).run()


class _Run:
    def __init__(self, job: Job, client: Client) -> None:
        self._job = job
        self._client = client
        self._id = job.workflow_id or f"{job.request.name}-{uuid4().hex[:12]}"
        # On a queue of its own, no other worker with other bundles can take this task's calls.
        own = f"counterstep:{self._id}" if job.bundles else job.settings.task_queue
        self._queue = job.task_queue or own
        self._giving_up: asyncio.Task[ApplicationError | None] | None = None

    async def run(self) -> tuple[Outcome, Any]:
        workflow, argument = self._what()
        known = self._job.workflow_id is not None
        started = await find_started(self._client, workflow, argument, id=self._id) if known else None
        worker = None
        if started is None:
            worker = await self._prepare()  # its faults show before anything starts
        signals = Signals()
        say(" ".join(filter(None, (self._id, self._job.target.link(self._id)))))
        if started is None:
            started = await start_once(
                self._client,
                workflow,
                argument,
                id=self._id,
                task_queue=self._queue,
                summary=self._summary(),
            )
        try:
            if not started.is_new:
                say(f"{self._id} has been started before, with the same input; this is how it goes, or went.")
                worker = await self._attend(started, worker)
            server = self._job.target.options()
            view = open_view(server)
            prompt = AnswerPrompt(self._job.target, view, self._job.by)
            watch = TaskWatch(started.handle, view, signals, server=server, prompt=prompt)
            if started.is_new and worker is None:
                self._giving_up = asyncio.create_task(give_up_unknown(started.handle))
            seen = await (self._work(worker, watch, signals) if worker else self._look_on(watch))
        except Exception as error:
            failure = as_failure(self._job.target.explain(error))
            raise self._after_start(failure, started) from error
        outcome, end = self._report(seen, started, works=worker is not None)
        return (await with_recovery(self._client, outcome) if end is not None else outcome), end

    def _what(self) -> tuple[str, Any]:
        """Returns the workflow type to start, and its argument."""
        request = self._job.request
        if isinstance(request, ForkPlan):
            return request.start()
        if request.is_registered or request.spec is None:
            return request.name, request.input
        return AGENT_TASK, {"spec": spec_document(request.spec), "input": request.input}

    def _summary(self) -> str:
        request = self._job.request
        if isinstance(request, ForkPlan):
            return request.summary
        return (request.spec.goal if request.spec else "") or request.name

    async def _prepare(self) -> Worker | None:
        """Returns a worker for a new task; None if other workers run it."""
        if self._job.bundles:
            return self._make_worker()
        if await has_workers(self._client, self._queue):
            return None
        raise self._no_workers(", so nothing was started. Name the task's bundle with --bundle, or start one")

    async def _attend(self, started: Started, worker: Worker | None) -> Worker | None:
        """Returns a worker for a task that was started before; None if it has other workers or needs none."""
        # Only a worker can tell what a cancelled task has undone.
        needs_one = started.status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CANCELED)
        same_queue, self._queue = started.task_queue == self._queue, started.task_queue
        if not self._job.bundles or not needs_one:
            return None
        if same_queue:
            return worker or self._make_worker()
        # The workers of its own queue are preferred, because they may have more than these bundles.
        return None if await has_workers(self._client, self._queue) else self._make_worker()

    def _make_worker(self) -> Worker:
        return make_worker(self._client, self._queue, self._job.settings.graceful_shutdown)

    async def _work(self, worker: Worker, watch: TaskWatch, signals: Signals) -> Watched:
        running = asyncio.create_task(worker.run())
        seen = await watch.until_end(asyncio.create_task(_expect_to_run(running)))
        if seen.at_once:
            return seen
        if not seen.ended and not seen.unattended:
            say("Calls that are running may finish first; Ctrl-C leaves at once.")
        stopping = asyncio.create_task(stop_worker(worker, running, self._job.settings.graceful_shutdown))
        interrupted = asyncio.create_task(signals.next())
        await asyncio.wait({stopping, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        return seen

    async def _look_on(self, watch: TaskWatch) -> Watched:
        def nobody() -> CommandFailed:
            return self._no_workers(f" any more; {self._id} waits there. Start one")

        guard = asyncio.create_task(miss_workers(self._client, self._queue, watch, nobody))
        somebody = await has_workers(self._client, self._queue)
        return await watch.until_end(guard, last=ENDED_SECONDS if somebody else 0)

    def _after_start(self, failure: CommandFailed, started: Started) -> CommandFailed:
        message = str(failure)
        if failure.type == "ServerUnavailable":
            message += f" The same command with --id {self._id} carries it on."
        told = CommandFailed(message, code=failure.code, type=failure.type, faults=failure.faults)
        told.ids = (self._id, started.run_id)
        return told

    def _report(self, seen: Watched, started: Started, *, works: bool) -> tuple[Outcome, Any]:
        ids = (self._id, started.run_id)
        unknown = self._giving_up.result() if self._giving_up and self._giving_up.done() else None
        if unknown is not None:
            return outcome_of(unknown, None, ids), unknown
        if seen.ended:
            return outcome_of(seen.end, seen.board, ids), seen.end
        if seen.unattended:
            say(f"{self._id} is left running: it goes on when a person has decided and a worker is there.")
        else:
            say(f"{self._id} {'goes on with its undos' if seen.is_cancelled else 'is left running'}.")
        if works:
            say(f"This carries it on, in this folder: {self._worker_command()}")
        return left_running(seen.board, ids), None

    def _no_workers(self, what_now: str) -> CommandFailed:
        where = f"No worker polls the queue {self._queue!r} at {self._job.target.address}"
        message = f"{where}{what_now}: {self._worker_command()}"
        return CommandFailed(message, code=ExitCode.NO_SERVER, type="NoWorker")

    def _worker_command(self) -> str:
        return self._job.target.worker_command(self._queue, self._job.bundle_names)


async def _expect_to_run(running: asyncio.Task[None]) -> None:
    await asyncio.wait({running})
    raise CommandFailed(
        f"The worker has stopped: {running.exception()}. The task is kept; the same command with the same "
        "--id carries it on.",
        code=ExitCode.NO_SERVER,
        type="WorkerStopped",
    )


def _log_to_file(target: ServerTarget, settings: Settings) -> None:
    """Keeps logs off the terminal by writing them to a file beside those of the embedded server."""
    if target.embedded is None:
        logging.getLogger().handlers = [logging.NullHandler()]
        return
    path = target.embedded.folder / ".counterstep" / "run.log"
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    configure_logs(handler, json=settings.log_format == "json", level=settings.log_level)
