"""Whatever an activity starts through its worker's client has been led to by the same events as itself."""

from __future__ import annotations

from typing import Any

from temporalio.client import (
    Interceptor,
    OutboundInterceptor,
    StartWorkflowInput,
    StartWorkflowUpdateWithStartInput,
    WorkflowHandle,
    WorkflowUpdateHandle,
)

from ..saga.events.chain import LED_BY, with_chain


class EventChain(Interceptor):
    """Passes the chain of events on to workflows that a tool starts, publications among them."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        """See base class."""
        return _Outbound(next)


class _Outbound(OutboundInterceptor):
    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        input.headers = with_chain(input.headers, LED_BY.get())
        return await super().start_workflow(input)

    async def start_update_with_start_workflow(
        self, input: StartWorkflowUpdateWithStartInput
    ) -> WorkflowUpdateHandle[Any]:
        start = input.start_workflow_input
        start.headers = with_chain(start.headers, LED_BY.get())
        return await super().start_update_with_start_workflow(input)
