"""The workflow that undoes what a terminated, timed-out or failed task has left behind."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..saga.history_format import RECOVER
from ..saga.recovery.recovery_run import run_recovery
from ..saga.temporal.nothing import NOTHING


@workflow.defn(name=RECOVER, sandboxed=False)
class TaskRecovery:
    """Recovers a task; it runs once for the newest run of the task, under the id ``ID/recover/RUN``."""

    __counterstep_task__ = True

    @workflow.run
    async def run(self, request: RawValue = NOTHING) -> Any:
        """Undoes everything that was left.

        Args:
            request: A `RecoveryRequest` as JSON; null recovers the task that the workflow id names.

        Returns:
            The ids of steps, as ``undone`` and ``not_undone``.
        """
        return await run_recovery(request)
