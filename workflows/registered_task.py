"""The dynamic workflow behind all registered tasks, each of which is a workflow type of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..saga.engine.start import read_registered, run_task
from ..saga.people.early_updates import answer_early, check_early


@workflow.defn(dynamic=True, sandboxed=False)
class RegisteredTask:
    """Runs the registered task that the workflow type names; the only argument is the task's input."""

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> Any:
        """Runs the task to its end.

        Args:
            args: The task's input, or nothing if the task does not need it.

        Returns:
            A `TaskResult` as JSON.
        """
        return await run_task(args, partial(read_registered, workflow.info().workflow_type))

    @workflow.update(dynamic=True)
    async def early(self, name: str, args: Sequence[RawValue]) -> Any:
        """Answers an update that arrived before the task could serve it."""
        return await answer_early(name, args)

    @early.validator
    def check(self, name: str, args: Sequence[RawValue]) -> None:
        """Refuses an update that tasks do not know."""
        check_early(name, args)
