"""What a workflow sends when it is replayed: Temporal compares ids and names, and not what is in a call."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from temporalio import workflow
from temporalio.api.common.v1 import Header, Payload, Payloads
from temporalio.client import WorkflowHistory
from temporalio.plugin import SimplePlugin
from temporalio.worker import (
    Interceptor,
    ReplayerConfig,
    StartActivityInput,
    StartChildWorkflowInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from counterstep.saga.history_format import HEADER


@dataclass(frozen=True)
class Sent:
    """One call, or one child.

    Attributes:
        name: Its activity type, or its workflow type.
        header: Our header; None where it has none.
        arguments: As JSON.
    """

    name: str
    header: Any
    arguments: list[Any]


class Listener(Interceptor):
    """Hears what workflows send; see `Ears`.

    Attributes:
        heard: What was sent since it was last cleared.
    """

    heard: ClassVar[list[Sent]] = []

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        return _Inbound


class Ears(SimplePlugin):
    """Puts the listener outside of the plugins before it, to hear their headers too."""

    def __init__(self) -> None:
        super().__init__("ears")

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        config["interceptors"] = [Listener(), *config.get("interceptors", [])]
        return config


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        _hear(input.activity, input)
        return super().start_activity(input)

    async def start_child_workflow(
        self, input: StartChildWorkflowInput
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        _hear(input.workflow, input)
        return await super().start_child_workflow(input)


def _hear(name: str, input: StartActivityInput | StartChildWorkflowInput) -> None:
    payloads = workflow.payload_converter().to_payloads(input.args)
    Listener.heard.append(_sent(name, input.headers.get(HEADER), payloads))


def _sent(name: str, header: Payload | None, payloads: Iterable[Payload]) -> Sent:
    arguments = [json.loads(payload.data or b"null") for payload in payloads]
    return Sent(name, None if header is None else json.loads(header.data), arguments)


def sent_in(history: WorkflowHistory) -> list[Sent]:
    """Reads what was sent when a history was recorded."""
    found = []
    for event in history.events:
        call = event.activity_task_scheduled_event_attributes
        child = event.start_child_workflow_execution_initiated_event_attributes
        if call.activity_id:
            found.append(_of(call.activity_type.name, call.header, call.input))
        elif child.workflow_id:
            found.append(_of(child.workflow_type.name, child.header, child.input))
    return found


def _of(name: str, header: Header, input: Payloads) -> Sent:
    return _sent(name, header.fields.get(HEADER), input.payloads)


def holds(recorded: Any, now: Any) -> bool:
    """Says whether something still says what it said; it may say more."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return all(name in now and holds(value, now[name]) for name, value in recorded.items())
    if isinstance(recorded, list) and isinstance(now, list):
        return len(recorded) == len(now) and all(map(holds, recorded, now))
    return bool(recorded == now)
