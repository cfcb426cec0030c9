"""The workflow behind every task whose name the worker does not know, or does not know any more."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..saga.engine.start import read_registered, run_task
from ..saga.people.early_updates import answer_early, check_early


@workflow.defn(dynamic=True, sandboxed=False)
class AnyTask:
    """Goes on with tasks under way whose registration is gone: their spec is in their history.

    A new task of an unknown name is left to another worker of the queue, which may know it; after a while it
    fails with the nearest known name.
    """

    __counterstep_task__ = True

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> Any:
        """Runs the task to its end.

        Args:
            args: The task's input, or nothing for a task that needs none.

        Returns:
            A `TaskResult` as JSON.
        """
        return await run_task(args, partial(read_registered, workflow.info().workflow_type))

    @workflow.update(dynamic=True)
    async def early(self, name: str, args: Sequence[RawValue]) -> Any:
        """Answers an update that has come before the task could serve it."""
        return await answer_early(name, args)

    @early.validator
    def check(self, name: str, args: Sequence[RawValue]) -> None:
        """Refuses an update that no task serves."""
        check_early(name, args)
