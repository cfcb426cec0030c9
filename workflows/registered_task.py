"""A registered task is a workflow type of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..saga.engine.start import read_registered, run_task
from ..saga.people.early_updates import answer_early, check_early
from ..saga.temporal.nothing import NOTHING
from ..saga.temporal.sdk_internals import with_argument_types


class _RegisteredTask:
    """What the workflow types of all registered tasks have in common."""

    __counterstep_task__ = True

    @workflow.update(dynamic=True)
    async def early(self, name: str, args: Sequence[RawValue]) -> Any:
        """Answers an update that arrived before the task could serve it."""
        return await answer_early(name, args)

    @early.validator
    def check(self, name: str, args: Sequence[RawValue]) -> None:
        """Refuses an update that tasks do not know."""
        check_early(name, args)


def registered_task(name: str) -> type:
    """Makes the workflow type of a registered task.

    Args:
        name: ``BUNDLE.TASK``.

    Returns:
        A class for Temporal's ``Worker``. Its argument is the task's input, which it takes raw: what the SDK
        cannot decode would leave the workflow running for ever. A continued run has further arguments.
    """

    async def run(self: Any, input: RawValue = NOTHING, *pages: Any) -> Any:
        """Runs the task to its end, and returns a `TaskResult` as JSON."""
        return await run_task([input, *pages], partial(read_registered, name))

    # The SDK takes no class that is local to a function, and tells that by the name of its method.
    run.__qualname__ = f"{_RegisteredTask.__name__}.run"
    cls = type(_RegisteredTask.__name__, (_RegisteredTask,), {"run": workflow.run(run)})
    define = workflow.defn(name=name, sandboxed=False)
    return with_argument_types(define(cls), [RawValue])
