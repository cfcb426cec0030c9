"""Runs the engine over a recorded history, with somebody who looks on."""

from __future__ import annotations

import dataclasses
from typing import Any

from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter, DefaultPayloadConverter
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    Replayer,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from ...runtime.payload_converter import SharedPydanticConverter
from ...saga.engine.opening import OBSERVER, Observer
from ...workflows import AgentTask, AnyTask
from ...workflows.interceptor import TaskInterceptor
from ..errors import NotForkable


class _Looking(Interceptor):
    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        observer = self._observer

        class Looking(TaskInterceptor):
            async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
                OBSERVER.set(observer)
                return await super().execute_workflow(input)

        return Looking


async def replay(
    converter: DataConverter, namespace: str, history: WorkflowHistory, observer: Observer
) -> None:
    """Replays one run of a task; nothing is called or sent.

    Args:
        converter: Reads the payloads.
        namespace: Of the task.
        history: The history.
        observer: Looks on.

    Raises:
        NotForkable: It cannot be replayed here.
    """
    if converter.payload_converter_class is DefaultPayloadConverter:
        converter = dataclasses.replace(converter, payload_converter_class=SharedPydanticConverter)
    # A registered task needs no bundle here: its spec is in its history, and any task can run it. In debug
    # mode a slow machine may take longer for a part of a long history.
    replayer = Replayer(
        workflows=[AgentTask, AnyTask],
        namespace=namespace,
        data_converter=converter,
        interceptors=[_Looking(observer)],
        debug_mode=True,
    )
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    if result.replay_failure is not None:
        raise NotForkable(
            f"The history of {history.workflow_id} cannot be read by this version: {result.replay_failure}"
        ) from result.replay_failure
