"""The workflow of one run of a process agent, which has its calls in a history of its own."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..saga.engine.process_run import run_process_agent
from ..saga.history_format import PROCESS_AGENT
from ..saga.temporal.nothing import NOTHING


@workflow.defn(name=PROCESS_AGENT, sandboxed=False)
class ProcessAgentRun:
    """Starts the process of an agent on some worker, and makes what it asks for."""

    __counterstep_task__ = True

    @workflow.run
    async def run(self, state: RawValue = NOTHING, given: RawValue = NOTHING) -> Any:
        """Runs the agent to its end.

        Args:
            state: A `ProcessState` as JSON.
            given: The agent's input.

        Returns:
            A `ProcessAnswer` as JSON, inside a `HandOver`.
        """
        return await run_process_agent(state, given)
