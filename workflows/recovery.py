"""Undoes what a terminated, timed-out or failed task has left behind."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from ..saga.history_format import RECOVER
from ..saga.recovery.recovery_run import run_recovery

_NOTHING = RawValue(Payload(metadata={"encoding": b"binary/null"}))


@workflow.defn(name=RECOVER, sandboxed=False)
class TaskRecovery:
    """Runs once for the newest run of a task, under the id ``ID/recover/RUN``."""

    __counterstep_task__ = True

    @workflow.run
    async def run(self, request: RawValue = _NOTHING) -> Any:
        """Undoes it all.

        Args:
            request: A `RecoveryRequest` as JSON; null for what the workflow id names.

        Returns:
            ``undone`` and ``not_undone``: ids of steps.
        """
        return await run_recovery(request)
