"""The workflow of a task that its input names, or whose spec its input holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..saga.engine.start import read_request, run_task
from ..saga.people.early_updates import answer_early, check_early
from ..saga.temporal.nothing import NOTHING


@workflow.defn(name="AgentTask", sandboxed=False)
class AgentTask:
    """Runs ``{"task": NAME, "input": ...}``, or ``{"spec": SPEC, "input": ...}`` where a worker allows it."""

    __counterstep_task__ = True

    @workflow.run
    async def run(self, request: RawValue = NOTHING) -> Any:
        """Runs the task to its end.

        Args:
            request: The object above; `input` may be left out if the task does not need it. It is taken raw,
                because a payload that the SDK cannot decode would leave the workflow running for ever.

        Returns:
            A `TaskResult` as JSON.
        """
        return await run_task([request], read_request)

    @workflow.update(dynamic=True)
    async def early(self, name: str, args: Sequence[RawValue]) -> Any:
        """Answers an update that arrived before the task could serve it."""
        return await answer_early(name, args)

    @early.validator
    def check(self, name: str, args: Sequence[RawValue]) -> None:
        """Refuses an update that tasks do not know."""
        check_early(name, args)
