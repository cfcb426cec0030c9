"""What every task has on the workflow side: headers on its calls, and an end for its bugs."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import (
    ExecuteWorkflowInput,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)

from ..saga.failure import trim
from ..saga.marking import is_task
from ..saga.wire import CURRENT_HEADER, HEADER


class TaskInterceptor(WorkflowInboundInterceptor):
    """Converts an ordinary exception of a task into its failure; other workflows pass untouched."""

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        """See base class."""
        super().init(_Outbound(outbound))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        """See the class."""
        try:
            return await super().execute_workflow(input)
        except (FailureError, workflow.ContinueAsNewError, workflow.NondeterminismError):
            raise
        except Exception as error:
            if not is_task():
                raise
            type_ = type(error).__name__
            raise ApplicationError(trim(str(error)) or type_, type=type_, non_retryable=True) from error


class _Outbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        header = CURRENT_HEADER.get()
        if header is not None:
            data = header.model_dump_json(exclude_defaults=False).encode()
            payload = Payload(metadata={"encoding": b"json/plain"}, data=data)
            input.headers = {**input.headers, HEADER: payload}
        return super().start_activity(input)
