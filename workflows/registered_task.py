"""A registered task is a workflow type of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue, VersioningBehavior

from ..saga.engine.start import read_registered, run_task
from ..saga.people.early_updates import answer_early, check_early
from ..saga.temporal.sdk_internals import with_argument_types

_NOTHING = RawValue(Payload(metadata={"encoding": b"binary/null"}))


def registered_task(name: str) -> type:
    """Makes the workflow type of a registered task.

    With Worker Versioning a task ends on the version that it began with.

    Args:
        name: ``BUNDLE.TASK``.

    Returns:
        A class for Temporal's ``Worker``.
    """

    class RegisteredTask:
        """Runs one registered task; the argument is the task's input."""

        __counterstep_task__ = True

        @workflow.run
        async def run(self, input: RawValue = _NOTHING, *pages: Any) -> Any:
            """Runs the task to its end.

            Args:
                input: The task's input, or nothing for a task that needs none. It is taken raw: what the SDK
                    cannot decode would leave the workflow running for ever.
                *pages: What a continued run needs beside its first argument.

            Returns:
                A `TaskResult` as JSON.
            """
            return await run_task([input, *pages], partial(read_registered, name))

        @workflow.update(dynamic=True)
        async def early(self, name: str, args: Sequence[RawValue]) -> Any:
            """Answers an update that has come before the task could serve it."""
            return await answer_early(name, args)

        @early.validator
        def check(self, name: str, args: Sequence[RawValue]) -> None:
            """Refuses an update that no task serves."""
            check_early(name, args)

    define = workflow.defn(name=name, sandboxed=False, versioning_behavior=VersioningBehavior.PINNED)
    return with_argument_types(define(RegisteredTask), [RawValue])
