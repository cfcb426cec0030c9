"""Finds all runs of a task, and judges whether what they have left behind may be undone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from temporalio.api.workflow.v1 import WorkflowExecutionVersioningInfo
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from ..saga.history_format import RECOVER
from ..saga.recovery.recovery_id import RecoveryId
from ..saga.recovery.request import NotRecoverable, Refusal
from .outstanding import Outstanding, left_behind
from .payload_reader import PayloadReader
from .run_history import RunHistory

Alive = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a workflow.

    Attributes:
        run_id: The run.
        workflow_id: Its workflow id.
        workflow_type: Its type.
        first_run_id: The first run of its chain.
        reset_run_id: The run that a reset has put in its place, or empty.
        status: What the server says of it.
        started: When it was started.
        closed: When it ended; None while it runs.
        task_queue: Where its workers are.
        version: The deployment version that it is pinned to, as ``DEPLOYMENT.BUILD``; empty without one.
    """

    run_id: str
    workflow_id: str
    workflow_type: str
    first_run_id: str
    reset_run_id: str
    status: WorkflowExecutionStatus
    started: datetime
    closed: datetime | None
    task_queue: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class RunChain:
    """The runs of one task: started once, and reset, retried or continued since.

    Attributes:
        runs: Oldest first.
        current: The run that the workflow id stands for now; not one of `runs` where the id was used again.
        recoveries: Runs of its recoveries, finished or not.
    """

    runs: Sequence[Run]
    current: Run
    recoveries: Sequence[Run]

    @property
    def newest(self) -> Run:
        """The run that says how the task ended."""
        return self.runs[-1]

    @property
    def recovered(self) -> bool:
        """Whether a recovery has undone what its newest run has left, so that nothing is open any more."""
        is_over = self.newest.closed is not None
        return is_over and any(map(self._has_undone, self.recoveries))

    def _has_undone(self, recovery: Run) -> bool:
        done = recovery.status is WorkflowExecutionStatus.COMPLETED
        return done and recovery.workflow_id == recovery_id(self.newest)

    def refuse(self, within: str = "", *, as_child: bool = False) -> None:
        """Refuses a chain that may not be undone, as far as its runs tell.

        Args:
            within: The workflow id of the recovery that asks, if one does.
            as_child: It is a step of another task that is undone.

        Raises:
            NotRecoverable: With the reason.
        """
        id_, newest, current = self.current.workflow_id, self.newest, self.current
        if newest.workflow_type == RECOVER:
            original = RecoveryId.parse(id_).workflow_id
            raise NotRecoverable(Refusal.NOT_A_TASK, f"{id_} is a recovery; name its task, {original}.")
        if current.closed is None and current is not newest:
            message = (
                f"{id_} is alive in another run, {current.run_id}; cancel that one, or wait for its end."
            )
            raise NotRecoverable(Refusal.TASK_ALIVE, message)
        if newest.closed is None and len(self.runs) > 1:
            message = (
                f"{id_} goes on in the run {newest.run_id}; only a task that has ended can be recovered. "
                "Cancel it, and it undoes what it did itself."
            )
            raise NotRecoverable(Refusal.RUN_SUPERSEDED, message)
        if newest.closed is None:
            message = f"{id_} is alive. Cancel it, and it undoes what it did itself: "
            message += f"counterstep cancel {shlex.quote(id_)}"
            raise NotRecoverable(Refusal.TASK_ALIVE, message)
        if newest.status is WorkflowExecutionStatus.COMPLETED and not as_child:
            raise NotRecoverable(Refusal.TASK_COMPLETED, f"{id_} has completed: what it did is to stay.")
        if newest.status is WorkflowExecutionStatus.CONTINUED_AS_NEW:
            message = f"{id_} was continued in a run that the server does not show any more."
            raise NotRecoverable(Refusal.RUN_SUPERSEDED, message)
        for recovery in self.recoveries:
            if recovery.workflow_id == within:
                continue
            done = self._has_undone(recovery)
            if recovery.closed is None or done:
                state = "has completed" if done else "is running"
                message = f"{id_} is recovered by {recovery.workflow_id} already, which {state}."
                raise NotRecoverable(Refusal.ALREADY_RECOVERED, message)


def recovery_id(run: Run) -> str:
    """Returns the workflow id of the recovery of the chain whose newest run this is."""
    return str(RecoveryId(run.workflow_id, run.run_id))


async def find_chain(
    client: Client, workflow_id: str, run_id: str | None = None, *, as_child: bool = False
) -> RunChain:
    """Finds the runs of a task.

    Args:
        client: Connected.
        workflow_id: The task.
        run_id: One of its runs; None for the newest that the id was started with.
        as_child: With those of other starts: a reset of its parent starts it again.

    Raises:
        NotRecoverable: There is no such task or run.
        RPCError: The server does not answer.
    """
    current = await _describe(client, workflow_id)
    chosen = current if run_id is None else await _describe(client, workflow_id, run_id)
    if current is None or chosen is None:
        what = f"task {workflow_id!r}" if current is None else f"run {run_id!r} of {workflow_id!r}"
        raise NotRecoverable(
            Refusal.UNKNOWN_TASK, f"There is no {what} in the namespace {client.namespace!r}."
        )
    runs = await _runs_of(client, current)
    runs = [run for run in runs if as_child or run.first_run_id == chosen.first_run_id]
    recoveries: list[Run] = []
    for run in runs:
        recovery = await _describe(client, recovery_id(run))
        if recovery is not None:
            recoveries += await _runs_of(client, recovery)
    return RunChain(runs, current, recoveries)


async def judge(
    client: Client,
    chain: RunChain,
    reader: PayloadReader,
    *,
    not_applied: bool = False,
    as_child: bool = False,
    alive: Alive,
) -> tuple[RunHistory, Outstanding]:
    """Reads the histories of a chain and says what is left.

    Args:
        client: Connected.
        chain: Not refused.
        reader: Decodes what decides.
        not_applied: Take a pivot whose outcome is unknown for one that was not applied.
        as_child: It is a step of another task that is undone: what it did is to stay in no case.
        alive: Called again and again meanwhile.

    Returns:
        What the newest run says, and what all of them have left.

    Raises:
        NotRecoverable: It is not a task of ours, or has passed its pivot.
        RPCError: The server does not answer.
    """
    histories = [await read_run(client, run, alive) for run in (*chain.runs, *chain.recoveries)]
    newest = histories[len(chain.runs) - 1]
    if as_child:  # an earlier task may have had the same id, and children of the same ids
        mine = [
            history for history in histories[: len(chain.runs)] if history.parent_key == newest.parent_key
        ]
        histories = [*mine, *histories[len(chain.runs) :]]
    for history in histories:
        await reader.decode(history)
    if not any(history.is_ours for history in histories):
        message = f"{newest.workflow_id} is not a task of Counterstep's: nothing in its history is."
        raise NotRecoverable(Refusal.NOT_A_TASK, message)
    resolved = {history.run_id: await reader.resolved(history) for history in histories}
    # Whatever has ended a child of ours, to its parent's saga it is one step that has failed.
    left = left_behind(histories, resolved, whole=newest.parent_key is not None)
    if left.entries or as_child:
        _refuse_past_pivot(left, newest.workflow_id, not_applied=not_applied)
    return newest, left


def _refuse_past_pivot(left: Outstanding, workflow_id: str, *, not_applied: bool) -> None:
    for pivot in left.pivots:
        if pivot.is_known:
            name = f" {pivot.step!r}" if pivot.step else ""
            message = (
                f"{workflow_id} has passed its pivot{name}, which cannot be undone; to undo what "
                "came before it would leave the task in halves. Finish it by hand, or reset it to go on."
            )
            raise NotRecoverable(Refusal.PIVOT_PASSED, message)
        if not not_applied:
            message = (
                f"Nobody knows whether the pivot {pivot.step!r} of {workflow_id} was applied. Find out, and "
                "say --not-applied if it certainly was not."
            )
            raise NotRecoverable(Refusal.PIVOT_UNKNOWN, message)


async def _runs_of(client: Client, current: Run) -> list[Run]:
    """Finds all runs of a workflow id, oldest first."""
    quoted = json.dumps(current.workflow_id, ensure_ascii=False)
    found = {current.run_id: current}
    async for listed in client.list_workflows(f"WorkflowId = {quoted}"):
        if listed.run_id not in found:
            run = await _describe(client, current.workflow_id, listed.run_id)
            if run is not None:
                found[run.run_id] = run
    return sorted(found.values(), key=lambda run: run.started)


async def _describe(client: Client, workflow_id: str, run_id: str | None = None) -> Run | None:
    try:
        found = await client.get_workflow_handle(workflow_id, run_id=run_id).describe()
    except RPCError as error:
        if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            return None
        raise
    return _run(found)


def _run(found: WorkflowExecutionDescription) -> Run:
    raw = found.raw_description
    assert found.status is not None
    return Run(
        run_id=found.run_id,
        workflow_id=found.id,
        workflow_type=found.workflow_type,
        first_run_id=raw.workflow_execution_info.first_run_id or found.run_id,
        reset_run_id=raw.workflow_extended_info.reset_run_id,
        status=found.status,
        started=found.start_time,
        closed=found.close_time,
        task_queue=found.task_queue,
        version=_version(raw.workflow_execution_info.versioning_info),
    )


def _version(info: WorkflowExecutionVersioningInfo) -> str:
    version = info.deployment_version
    return f"{version.deployment_name}.{version.build_id}" if version.build_id else ""


async def read_run(client: Client, run: Run, alive: Alive) -> RunHistory:
    """Reads the history of one run, as far as it goes; `alive` is called again and again meanwhile."""
    history = RunHistory(run.workflow_id, run.run_id, superseded=bool(run.reset_run_id))
    handle = client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
    async for event in handle.fetch_history_events():
        history.add(event)
        alive()
    return history
