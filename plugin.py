"""The one place where the parts are wired together."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter, DefaultPayloadConverter
from temporalio.plugin import SimplePlugin
from temporalio.service import RPCError
from temporalio.worker import (
    ActivityInboundInterceptor,
    Interceptor,
    Worker,
    WorkerConfig,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from .activities.bundled import bundled_activities
from .activities.interceptor import CallInterceptor
from .activities.leftovers import read_leftovers
from .activities.lost_undos import read_lost_undos
from .activities.resolve import Resolver
from .activities.unknown import unknown_activity
from .activities.verify import verify
from .bundle.bundle import Bundle
from .bundle.registry import Registry
from .compensations.bundled import bundled_compensations
from .compensations.recover_child import recover_child
from .compensations.retract import retract
from .workflows import AgentTask, LongConversation, RegisteredTask, TaskRecovery
from .workflows.interceptor import TaskInterceptor

SEARCH_ATTRIBUTES = {
    "SagaTask": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "SagaState": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "SagaStep": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "SagaCostUsd": IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
}

STICKY_TIMEOUT = timedelta(seconds=1)
"""How long a task waits for the worker that had it in its cache, before any other may go on.

Temporal's default of 10 s is what a task would stand still after its worker was killed.
"""

_TEMPORAL_STICKY_TIMEOUT = timedelta(seconds=10)

_PASSED_THROUGH = ("counterstep", "cel", "pydantic", "pydantic_core", "annotated_types", "typing_inspection")

logger = logging.getLogger("counterstep")


class CounterstepInterceptor(Interceptor):
    """Puts the workflow side and the activity side into a worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """See base class."""
        return CallInterceptor(next)

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        """See base class."""
        return TaskInterceptor


class CounterstepPlugin(SimplePlugin):
    """Teaches a Temporal client and its workers to run tasks.

    Give it to ``Client.connect(..., plugins=[...])``; workers of that client have it then. Nothing of the
    user's own configuration is lost: workflows, activities and interceptors are added to, and a data
    converter that is not Temporal's default stays as it is.
    """

    def __init__(
        self,
        bundles: Iterable[Bundle] = (),
        *,
        model: str | Sequence[str] | None = None,
        inline_specs: bool = False,
    ) -> None:
        """Wires a plugin.

        Args:
            bundles: What the workers offer.
            model: litellm name, or several as a fallback chain, for agents that name none.
            inline_specs: Let callers bring a spec of their own (it can name only what the bundles offer).

        Raises:
            DefinitionError: The bundles have faults; all are named.
        """
        models = (model,) if isinstance(model, str) else tuple(model or ())
        self.registry = Registry(bundles, models)
        self._resolver = Resolver(self.registry, inline_specs=inline_specs)
        super().__init__(
            "counterstep.CounterstepPlugin",
            data_converter=_with_pydantic,
            interceptors=[CounterstepInterceptor()],
            activities=self._activities,
            workflows=self._workflows,
            workflow_runner=_with_passthrough,
        )

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """See base class."""
        config = super().configure_worker(config)
        if config.get("sticky_queue_schedule_to_start_timeout") == _TEMPORAL_STICKY_TIMEOUT:
            config["sticky_queue_schedule_to_start_timeout"] = STICKY_TIMEOUT
        return config

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
        """See base class."""
        missing = await _missing_search_attributes(worker)
        self._resolver.search_attributes = not missing
        if missing:
            flags = " ".join(f"--name {name} --type {_type_name(name)}" for name in missing)
            logger.warning(
                "this namespace lacks search attributes, so tasks run without them; to create them: "
                "temporal operator search-attribute create --namespace %s %s",
                worker.client.namespace,
                flags,
            )
        if any(not agent.python for agent in self.registry.catalog.agents.values()):
            from .activities.model import warm_up

            await asyncio.to_thread(warm_up)
        await super().run_worker(worker, next)

    def _activities(self, existing: Sequence[Callable[..., Any]] | None) -> Sequence[Callable[..., Any]]:
        # litellm takes seconds to import: only a worker pays for it, and before its first call.
        from .activities.model import call_model

        own = list(existing or ())
        known = {_activity_name(function) for function in own}
        ours: list[Callable[..., Any]] = [
            self._resolver.resolve,
            verify,
            read_leftovers,
            read_lost_undos,
            call_model,
            retract,
            recover_child,
            *bundled_activities(self.registry),
            *bundled_compensations(self.registry),
            *self.registry.activities,
            unknown_activity,
        ]
        return own + [function for function in ours if _activity_name(function) not in known]

    def _workflows(self, existing: Sequence[type] | None) -> Sequence[type]:
        own = list(existing or ())
        self.registry.know_workflows(own)
        ours = [AgentTask, TaskRecovery, LongConversation, *self.registry.workflows]
        if not any(_is_dynamic(cls) for cls in (*own, *ours)):
            ours.append(RegisteredTask)
        return own + [cls for cls in ours if cls not in own]


def _with_pydantic(existing: DataConverter | None) -> DataConverter:
    converter = existing or DataConverter.default
    if converter.payload_converter_class is not DefaultPayloadConverter:
        return converter
    return dataclasses.replace(converter, payload_converter_class=PydanticPayloadConverter)


def _with_passthrough(existing: WorkflowRunner | None) -> WorkflowRunner:
    if existing is None:
        restrictions = SandboxRestrictions.default.with_passthrough_modules(*_PASSED_THROUGH)
        return SandboxedWorkflowRunner(restrictions=restrictions)
    if not isinstance(existing, SandboxedWorkflowRunner):
        return existing
    return dataclasses.replace(
        existing, restrictions=existing.restrictions.with_passthrough_modules(*_PASSED_THROUGH)
    )


async def _missing_search_attributes(worker: Worker) -> list[str]:
    request = ListSearchAttributesRequest(namespace=worker.client.namespace)
    try:
        known = await worker.client.operator_service.list_search_attributes(request)
    except RPCError as error:
        logger.warning("search attributes cannot be listed: %s", error.message)
        return list(SEARCH_ATTRIBUTES)
    return [name for name, type_ in SEARCH_ATTRIBUTES.items() if known.custom_attributes.get(name) != type_]


def _type_name(name: str) -> str:
    return "Double" if name == "SagaCostUsd" else "Keyword"


def _activity_name(function: Callable[..., Any]) -> str | None:
    definition = activity._Definition.from_callable(function)
    return definition.name if definition else None


def _is_dynamic(cls: type) -> bool:
    definition = getattr(cls, "__temporal_workflow_definition", None)
    return definition is not None and definition.name is None
