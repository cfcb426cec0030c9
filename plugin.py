"""The one place where the parts are wired together."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from weakref import WeakSet

from temporalio.client import Client, ClientConfig
from temporalio.converter import DataConverter, DefaultPayloadConverter
from temporalio.plugin import SimplePlugin
from temporalio.worker import (
    ActivityInboundInterceptor,
    Interceptor,
    ReplayerConfig,
    Worker,
    WorkerConfig,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from .activities.a2a_activities import a2a_activities
from .activities.appraise import Appraiser
from .activities.bundle_activities import bundled_activities
from .activities.deliver_event import deliver_event
from .activities.gateway.process_host import ProcessHost
from .activities.interceptor import CallInterceptor
from .activities.match_event import EventMatcher
from .activities.mcp_activities import mcp_activities
from .activities.measured_timeout import MeasuredTimeouts
from .activities.models.call_model import ModelCalls, warm_up
from .activities.notify import Notifier, Webhook
from .activities.outcomes import AgentOutcomes
from .activities.recovery.read_lost_undos import read_lost_undos
from .activities.recovery.read_outstanding import read_outstanding
from .activities.recovery.read_replaced import read_replaced
from .activities.resolve import Resolver
from .activities.unknown_activity import unknown_activity
from .activities.verify import verify
from .bundle.bundle import Bundle
from .bundle.registry import Registry
from .compensations.bundle_compensations import bundled_compensations
from .compensations.mcp_compensations import mcp_compensations
from .compensations.recover_child import recover_child
from .compensations.retract import retract
from .mcp_client.requests import ServerRequests
from .observability.search_attribute_check import until_created, warn_of_missing
from .pool_limits.pool import Pool, make_pool
from .runtime.activation_executor import MOST_THREADS, ActivationExecutor
from .runtime.event_chain import EventChain
from .runtime.other_plugins import ORDER, expect_models, expect_sandbox, is_taken_by, listed_behind
from .runtime.payload_converter import SharedPydanticConverter
from .runtime.worker_config import expect_recoverable, pinned
from .saga.errors import DefinitionError
from .saga.limits.unpriced import UnpricedModels
from .saga.temporal.sdk_internals import is_dynamic_activity, is_dynamic_workflow
from .workflows import ON_EVERY_WORKER, AnyTask, registered_task
from .workflows.interceptor import TaskInterceptor
from .workflows.ordered_runner import in_order, is_ours

__all__ = ["CounterstepPlugin", "Webhook"]


_PASSED_THROUGH = ("counterstep", "cel", "pydantic", "pydantic_core", "annotated_types", "typing_inspection")


class CounterstepInterceptor(Interceptor):
    """Adds Counterstep's interceptors for workflows and activities to a worker."""

    def __init__(self, pool: Pool | None = None) -> None:
        """Makes the interceptor of one worker.

        Args:
            pool: Has the breakers of the tools, and is told how long they take; None for none.
        """
        self._pool = pool

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """See base class."""
        return CallInterceptor(next, self._pool)

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        """See base class."""
        return TaskInterceptor


class CounterstepPlugin(SimplePlugin):
    """Teaches a Temporal client and its workers to run tasks.

    Give it to ``Client.connect(..., plugins=[...])``, and every worker of that client has it. Your own
    configuration stays: the plugin adds workflows and activities to yours, and it replaces the payload
    converter only if that is Temporal's default.

    Interceptors that are given to a worker run inside of Counterstep's: they see the results and exceptions
    of your code as they are, and `current_step` works in them. Interceptors of the client run outside.
    """

    def __init__(
        self,
        bundles: Iterable[Bundle] = (),
        *,
        model: str | Sequence[str] | None = None,
        inline_specs: bool = False,
        any_task: bool = False,
        sticky_timeout: timedelta | None = None,
        decision_keys: str | None = None,
        decision_audience: str | None = None,
        webhook: Webhook | None = None,
        limits: str | Path | None = None,
        redis_url: str | None = None,
        unpriced_models: str | float | UnpricedModels = "ignore",
    ) -> None:
        """Makes a plugin for the workers of some bundles.

        Args:
            bundles: What the workers offer.
            model: A litellm name, or several as a fallback chain, for agents that do not name a model.
            inline_specs: Whether callers may bring a spec of their own, which can name only what the bundles
                offer.
            any_task: Serve every workflow type that has no class on the worker, with Temporal's dynamic
                workflow: a task goes on although its registration is gone, and one of an unknown name ends
                with an error that names the nearest known one.
            sticky_timeout: How long a task waits for the worker that has it in its cache before any other
                may go on; None leaves it as the worker has it. Temporal's default of 10 s is how long a task
                stands still after its worker was killed.
            decision_keys: A file with a JWKS, or its http(s) address: the tasks of this process take only
                decisions that are signed with one of its keys. None for decisions that are claims.
            decision_audience: What the ``aud`` of a signed decision has to name; None where it has none.
            webhook: Who is told when a task waits for people.
            limits: The file with the limits that all workers of the pool share, and with what opens breakers.
            redis_url: The Redis in which they share them; None to count for this process alone.
            unpriced_models: How models without a known price are treated: ``ignore``, ``refuse``, or US
                dollars to assume for a million tokens.

        Raises:
            DefinitionError: The bundles have faults; the error names all of them.
            SpecError: The limits file has faults, or the address of the Redis is not one.
        """
        models = (model,) if isinstance(model, str) else tuple(model or ())
        self.registry = Registry(bundles, models)
        self._inline_specs = inline_specs
        self._any_task = any_task
        self._sticky_timeout = sticky_timeout
        self._decisions = decision_keys, decision_audience
        self._notifier = Notifier(webhook)
        self._task_types = [registered_task(name) for name in self.registry.catalog.tasks]
        self._pool = make_pool(limits, redis_url, unpriced_models, self.registry.catalog.tools)
        self._interceptor = CounterstepInterceptor(self._pool)
        self._running: WeakSet[Worker] = WeakSet()
        self.mcp = ServerRequests()
        super().__init__(
            "counterstep.CounterstepPlugin",
            data_converter=_with_pydantic,
            workflows=self._workflows,
            workflow_runner=lambda existing: in_order(_with_passthrough(existing)),
        )

    def configure_client(self, config: ClientConfig) -> ClientConfig:
        """See base class."""
        given = config["data_converter"]
        config = super().configure_client(config)
        config["interceptors"] = [*config["interceptors"], EventChain()]
        if not is_taken_by(config, listed_behind(self, config["plugins"])):
            # One of them brings a converter of its own, for which it wants to find what the client was given.
            config["data_converter"] = given
        return config

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """See base class.

        Raises:
            DefinitionError: The worker has another plugin of this kind, it is configured to fail tasks for
                good that have to stay recoverable, its client's payload converter cannot carry tasks, or a
                plugin that is listed behind this one replaces the sandbox.
        """
        interceptors = config.get("interceptors", ())
        if self._interceptor in interceptors:
            return config  # it is the client's plugin, given to the worker once more
        if any(isinstance(known, CounterstepInterceptor) for known in interceptors):
            message = (
                "a worker has one CounterstepPlugin, its own or its client's: give all bundles to that one"
            )
            raise DefinitionError(message)
        expect_recoverable(config)
        expect_models(config["client"].data_converter)
        expect_sandbox(config, self, _PASSED_THROUGH)
        # Made for this worker alone: another one may have other workflows and another namespace.
        registry = copy.copy(self.registry)
        registry.know_workflows(config.get("workflows", ()))
        config = super().configure_worker(config)
        config["activities"] = self._activities(registry, config.get("activities", ()))
        config["interceptors"] = [self._interceptor, *interceptors]
        config["deployment_config"] = pinned(config.get("deployment_config"))
        config["unsandboxed_workflow_runner"] = in_order(config["unsandboxed_workflow_runner"])
        if config.get("workflow_task_executor") is None:
            threads = config.get("max_concurrent_workflow_tasks") or MOST_THREADS
            config["workflow_task_executor"] = ActivationExecutor(threads, is_ours)
        if self._sticky_timeout is not None:
            config["sticky_queue_schedule_to_start_timeout"] = self._sticky_timeout
        return config

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """See base class."""
        config = super().configure_replayer(config)
        config["interceptors"] = [self._interceptor, *config.get("interceptors", ())]
        config["unsandboxed_workflow_runner"] = in_order(config["unsandboxed_workflow_runner"])
        return config

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
        """See base class."""
        if worker in self._running:
            await next(worker)
            return
        self._running.add(worker)
        config = worker.config(active_config=True)
        expect_recoverable(config)
        resolver = _resolver_of(config)
        if resolver is None or self._interceptor not in config["interceptors"]:
            raise DefinitionError(
                f"another plugin has taken Counterstep's activities or interceptor from this worker; {ORDER}"
            )
        resolver.search_attributes = await warn_of_missing(worker.client)
        if self.registry.asks_models:
            await asyncio.to_thread(warm_up)
        async with AsyncExitStack() as beside:
            keys, audience = self._decisions
            if keys is not None:
                from .runtime.decision_keys import serving_keys

                await beside.enter_async_context(serving_keys(keys, audience))
            await beside.enter_async_context(self.mcp.used())
            await self._pool.open()
            beside.push_async_callback(self._pool.close)
            if not resolver.search_attributes:
                await beside.enter_async_context(_watching(_use_search_attributes(worker.client, resolver)))
            await next(worker)

    def _activities(
        self, registry: Registry, own: Sequence[Callable[..., Any]]
    ) -> Sequence[Callable[..., Any]]:
        resolver = Resolver(
            registry,
            inline_specs=self._inline_specs,
            notify=self._notifier.has_webhook,
            limits=self._pool.limits,
            unpriced=self._pool.unpriced,
            latencies=self._pool.latencies,
        )
        outcomes = AgentOutcomes(self._pool.store.outcomes)
        matcher = EventMatcher(registry)
        ours: list[Callable[..., Any]] = [
            resolver.resolve,
            Appraiser(self._pool.unpriced).appraise,
            MeasuredTimeouts(self._pool.latencies).calibrate,
            matcher.match_event,
            matcher.match_join,
            deliver_event,
            verify,
            read_outstanding,
            read_lost_undos,
            read_replaced,
            ModelCalls(self._pool).call_model,
            ProcessHost(registry.processes, self._pool).host,
            self._notifier.notify,
            outcomes.note_outcomes,
            outcomes.select_agent,
            retract,
            recover_child,
            *bundled_activities(registry),
            *bundled_compensations(registry),
            *a2a_activities(registry.remotes, registry.catalog.agents),
            *mcp_activities(registry.mcp, self.mcp),
            *mcp_compensations(registry.mcp, self.mcp),
            *registry.activities,
        ]
        if not any(map(is_dynamic_activity, (*own, *ours))):
            ours.append(unknown_activity)
        # Of two with one name the SDK says so.
        return [*own, *(function for function in ours if function not in own)]

    def _workflows(self, existing: Sequence[type] | None) -> Sequence[type]:
        own = list(existing or ())
        ours = [*ON_EVERY_WORKER, *self.registry.workflows, *self._task_types]
        if self._any_task and not any(map(is_dynamic_workflow, (*own, *ours))):
            ours.append(AnyTask)
        return own + [cls for cls in ours if cls not in own]


@asynccontextmanager
async def _watching(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    watching = asyncio.create_task(work)
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _use_search_attributes(client: Client, resolver: Resolver) -> None:
    await until_created(client)
    resolver.search_attributes = True


def _resolver_of(config: WorkerConfig) -> Resolver | None:
    owners = (getattr(known, "__self__", None) for known in config.get("activities", ()))
    return next((owner for owner in owners if isinstance(owner, Resolver)), None)


def _with_pydantic(existing: DataConverter | None) -> DataConverter:
    converter = existing or DataConverter.default
    if converter.payload_converter_class is not DefaultPayloadConverter:
        return converter
    return dataclasses.replace(converter, payload_converter_class=SharedPydanticConverter)


def _with_passthrough(existing: WorkflowRunner | None) -> WorkflowRunner:
    if existing is None:
        restrictions = SandboxRestrictions.default.with_passthrough_modules(*_PASSED_THROUGH)
        return SandboxedWorkflowRunner(restrictions=restrictions)
    if not isinstance(existing, SandboxedWorkflowRunner):
        return existing
    return dataclasses.replace(
        existing, restrictions=existing.restrictions.with_passthrough_modules(*_PASSED_THROUGH)
    )
