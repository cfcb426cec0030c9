"""The activity that hosts the process of an agent."""

from __future__ import annotations

import asyncio
import importlib
import logging
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, Interceptor, Worker

from ...bundle.foreign.process_agent import ProcessAgent
from ...observability.redaction import hide, show
from ...pool_limits.pool import Pool
from ...saga.agents.foreign.host_protocol import MOST_AT_ONCE, HostEnd, HostJob
from ...saga.errors import FailureType
from ...saga.history_format import HOST
from ..interceptor import CallInterceptor
from ..models.hosted.hosted_bodies import HostedBodies
from ..models.hosted.hosted_models import HostedModels
from ..worker_stop import ANOTHER_GOES_ON, unless_stopped
from .run_client import RunClient

logger = logging.getLogger("counterstep.gateway")

_ENDPOINT = f"{__package__}.endpoint"
_PROCESS = f"{__package__}.process"


class ProcessHost:
    """Hosts processes for the runs of one worker's tasks."""

    def __init__(self, processes: Mapping[str, ProcessAgent], pool: Pool) -> None:
        """Prepares to host.

        Args:
            processes: The declarations, by the names of the agents.
            pool: The breakers and limits that every request to a model meets.
        """
        self._processes = processes
        self._pool = pool
        for declared in processes.values():
            for secret in declared.secrets:
                hide(secret)

    @activity.defn(name=HOST)
    async def host(self, job: dict[str, Any]) -> dict[str, Any]:
        """Runs a process to its end.

        Args:
            job: A `HostJob` as JSON.

        Returns:
            A `HostEnd` as JSON.

        Raises:
            ApplicationError: The process cannot be started, has failed, or this worker stops.
        """
        asked = HostJob.model_validate(job)
        declared = self._processes.get(asked.agent)
        if declared is None:
            message = f"this worker does not know the command of {asked.agent}"
            raise ApplicationError(message, type=FailureType.PROCESS_NOT_STARTED)
        gone = ApplicationError(ANOTHER_GOES_ON, type=FailureType.HOST_GONE)
        return await unless_stopped(self._run(asked, declared), gone)

    async def _run(self, job: HostJob, declared: ProcessAgent) -> dict[str, Any]:
        # A server for HTTP and one for MCP: workers without process agents never load them.
        endpoints: Any = await asyncio.to_thread(importlib.import_module, _ENDPOINT)
        processes: Any = await asyncio.to_thread(importlib.import_module, _PROCESS)
        info, client = activity.info(), activity.client()
        assert info.workflow_id is not None
        bodies, token, queue = HostedBodies(), secrets.token_urlsafe(32), f"counterstep-host-{uuid4().hex}"
        handle = client.get_workflow_handle(info.workflow_id, run_id=info.workflow_run_id)
        run = RunClient(handle, job.attempt, bodies, loose=job.loose)
        place = f"{info.namespace}/{info.workflow_id}/{info.workflow_run_id}"
        async with self._worker(client, queue, bodies):
            await run.up(queue)
            hide(token)
            try:
                async with endpoints.Endpoint(job, run, token).open() as address:
                    with processes.place_for(place, declared.cwd) as at:
                        env = processes.environment(declared, job, at, address, token)
                        async with processes.running([*declared.command], env, at.work) as process:
                            printed = await process.printed()
                            run.close("the process has ended")
                        output = processes.answer_of(job, printed, at)
            finally:
                run.close("the run of this process is over")
                show(token)
        end = HostEnd(output=output, asked=tuple(run.asked), loose=run.loose)
        return end.model_dump(mode="json")

    def _worker(self, client: Client, queue: str, bodies: HostedBodies) -> Worker:
        """Returns a worker for the requests of one host; a client with our plugin would bring all it has."""
        plain = Client(
            client.service_client,
            namespace=client.namespace,
            data_converter=client.data_converter,
        )
        return Worker(
            plain,
            task_queue=queue,
            activities=[HostedModels(self._pool, bodies).ask],
            interceptors=[_Calls(self._pool)],
            max_concurrent_activities=2 * MOST_AT_ONCE,
        )


class _Calls(Interceptor):
    """Every call of an activity is one of a task's."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return CallInterceptor(next, self._pool)
