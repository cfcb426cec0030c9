"""A task that is named, or brought along, in the workflow's input."""

from __future__ import annotations

from typing import Any

from temporalio import workflow

from ..saga.start import read_request, run_task


@workflow.defn(name="AgentTask", sandboxed=False)
class AgentTask:
    """Runs ``{"task": NAME, "input": ...}``, or with ``"spec"`` for ``"task"`` where the worker allows it."""

    @workflow.run
    async def run(self, request: Any) -> Any:
        """Runs the task to its end.

        Args:
            request: As above; `input` may be left out for a task that needs none.

        Returns:
            A `TaskResult` as JSON.
        """
        return await run_task(read_request(request))
