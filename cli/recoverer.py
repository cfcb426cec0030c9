"""Recovers one task: finds what it has left behind, starts its recovery, and waits for the end of that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from ..activities.chain import Chain, find_chain, judge, read_run, recovery_id
from ..activities.history_reader import HistoryReader
from ..connection import connect, has_workers
from ..saga.book import TaskState
from ..saga.leftover import Leftovers
from ..saga.recovered import NotRecoverable, RecoveryRequest, Refusal
from ..saga.status import SAGA_STATE
from ..saga.wire import RECOVER
from .failure import CommandFailed, ExitCode
from .output import say
from .signals import Signals
from .target import Target
from .view import View, open_view
from .watch import PATIENCE, read_board

_PAUSE: Final = 0.3
_GOES_ON: Final = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)
_SUMMARY: Final = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """What ``recover`` is to recover.

    Attributes:
        id: The task.
        run_id: One of its runs, or None for the newest.
        task_queue: Where workers with its bundles are; None for its own queue.
        not_applied: A pivot whose outcome is unknown was certainly not applied.
    """

    id: str
    run_id: str | None = None
    task_queue: str | None = None
    not_applied: bool = False


class Effect(BaseModel):
    """One effect that has been found.

    Attributes:
        id: The id of its call.
        step: The step.
        compensation: What undoes it.
        is_known: Whether the call is known to have happened.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    step: str
    compensation: str
    is_known: bool


class Recovery(BaseModel):
    """What ``recover --json`` prints.

    Attributes:
        workflow_id: The task.
        run_id: The newest of its runs.
        recovery_id: The workflow that undoes it.
        state: The state of the recovery.
        found: What was left, newest first.
        undone: Steps that it has undone, in the order in which their undos finished.
        not_undone: Steps of which an undo is missing.
    """

    model_config = ConfigDict(frozen=True)

    workflow_id: str
    run_id: str
    recovery_id: str
    state: TaskState
    found: tuple[Effect, ...]
    undone: tuple[str, ...] = ()
    not_undone: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """What the command exits with, where it has waited."""
        if self.state is TaskState.COMPLETED:
            return ExitCode.COMPLETED
        ended = (TaskState.NEEDS_ATTENTION, TaskState.ROLLBACK_INCOMPLETE)
        return ExitCode.INCOMPLETE if self.state in ended else ExitCode.CANCELLED


async def recover_task(target: Target, asked: Asked, *, wait: bool) -> Recovery:
    """Recovers a task.

    Args:
        target: The server.
        asked: The task.
        wait: Wait for the end.

    Returns:
        What became of it.

    Raises:
        CommandFailed: It may not be recovered, or no worker is there.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    client = await connect(target.config)
    try:
        chain = await find_chain(client, asked.id, asked.run_id)
        left = await examine(client, chain, not_applied=asked.not_applied)
    except NotRecoverable as refusal:
        raise CommandFailed(str(refusal), type=refusal.type) from None
    for item in left.entries:
        known = "" if item.known else " (nobody knows whether it happened)"
        say(f"{item.step}: is to be undone by {item.newest.compensation}{known}")
    queue = asked.task_queue or chain.newest.task_queue
    signals = Signals()
    handle = await start_recovery(client, chain, queue, not_applied=asked.not_applied)
    say(" ".join(filter(None, (handle.id, target.link(handle.id)))))
    found = tuple(_effect(left))
    started = Recovery(
        workflow_id=asked.id,
        run_id=chain.newest.run_id,
        recovery_id=handle.id,
        state=TaskState.RUNNING,
        found=found,
    )
    if wait:
        return await _Wait(client, target, handle, queue, signals).for_end(started, asked)
    if not await has_workers(client, queue):
        say(f"No worker polls its queue {queue!r}; start one: {target.worker_command(queue)}")
    return started


async def examine(client: Client, chain: Chain, *, not_applied: bool = False) -> Leftovers:
    """Finds out what a task has left behind, as far as a client without keys can read it.

    Args:
        client: Connected.
        chain: The runs of the task.
        not_applied: A pivot whose outcome is unknown was certainly not applied.

    Returns:
        What is left; at least one effect.

    Raises:
        NotRecoverable: The task may not be recovered, or there is nothing to undo.
        RPCError: The server does not answer.
    """
    chain.refuse()
    reader = HistoryReader(client.data_converter, client.namespace, strict=False)
    _, left = await judge(client, chain, reader, not_applied=not_applied, alive=_nobody)
    if not left.entries:
        raise NotRecoverable(Refusal.NOTHING_TO_UNDO, _nothing_left(chain.newest.workflow_id, left))
    return left


def _nothing_left(id: str, left: Leftovers) -> str:
    if left.skipped:
        steps = ", ".join(dict.fromkeys(item.step for item in left.skipped))
        return f"{id} has nothing left to undo but what somebody has decided to leave: {steps}."
    if left.undone:
        return f"{id} is undone already: nothing is left."
    return f"{id} has nothing to undo: it has changed nothing."


async def start_recovery(
    client: Client, chain: Chain, task_queue: str, *, not_applied: bool = False
) -> WorkflowHandle[Any, Any]:
    """Starts the recovery of a chain, once; one that has failed may be followed by another.

    Raises:
        CommandFailed: Somebody else has started it.
        RPCError: The server does not answer or refuses.
    """
    newest, id_ = chain.newest, recovery_id(chain.newest)
    request = RecoveryRequest(
        workflow_id=newest.workflow_id, run_id=newest.run_id, not_applied=not_applied
    ).model_dump(mode="json")
    try:
        await client.start_workflow(
            RECOVER,
            args=[request] if not_applied else [],
            id=id_,
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            static_summary=f"undo what {newest.workflow_id} has left behind"[:_SUMMARY],
        )
    except WorkflowAlreadyStartedError:
        message = f"{newest.workflow_id} is recovered by {id_} already: somebody was faster."
        raise CommandFailed(message, type=Refusal.ALREADY_RECOVERED) from None
    return client.get_workflow_handle(id_)  # of whichever run it goes on in


class _Wait:
    """Waits for a recovery, by what the server itself knows: its payloads may be encrypted."""

    def __init__(
        self, client: Client, target: Target, handle: WorkflowHandle[Any, Any], queue: str, signals: Signals
    ) -> None:
        self._client = client
        self._target = target
        self._handle = handle
        self._queue = queue
        self._signals = signals
        self._view: View = open_view(target.options())

    async def for_end(self, started: Recovery, asked: Asked) -> Recovery:
        """Waits for the end, a signal, or a need of a person where nobody sits at the terminal."""
        leaving = asyncio.create_task(self._signals.next())
        try:
            state = await self._until_over(leaving)
        finally:
            leaving.cancel()
            self._view.pause()
        undone, not_undone = await self._what_became(asked)
        outcome = started.model_copy(
            update={"state": state, "undone": tuple(undone), "not_undone": tuple(not_undone)}
        )
        _say_end(outcome)
        return outcome

    async def _until_over(self, leaving: asyncio.Task[Any]) -> TaskState:
        loop = asyncio.get_running_loop()
        answered = loop.time()
        while not leaving.done():
            found = await self._handle.describe()
            board = await self._board()
            if board is not None:
                answered = loop.time()
                self._view.show(board)
            if found.status not in _GOES_ON:
                done = found.status is WorkflowExecutionStatus.COMPLETED
                return TaskState.COMPLETED if done else TaskState.ROLLBACK_INCOMPLETE
            state = (board or {}).get("state") or found.typed_search_attributes.get(SAGA_STATE)
            if state == TaskState.NEEDS_ATTENTION and not self._signals.interactive:
                return TaskState.NEEDS_ATTENTION
            if loop.time() - answered > PATIENCE and not await has_workers(self._client, self._queue):
                raise self._no_workers()
            await asyncio.wait({leaving}, timeout=_PAUSE)
        say(f"{self._handle.id} goes on; see `counterstep status {self._handle.id}`.")
        return TaskState.COMPENSATING

    async def _board(self) -> Mapping[str, Any] | None:
        try:
            return await read_board(self._handle, 1.0)
        except RPCError:
            raise
        except Exception:
            return None  # encrypted: only a worker can read it

    async def _what_became(self, asked: Asked) -> tuple[list[str], list[str]]:
        """Reads from histories which steps are undone and which are not."""
        chain = await find_chain(self._client, asked.id, asked.run_id)
        reader = HistoryReader(self._client.data_converter, self._client.namespace, strict=False)
        _, left = await judge(self._client, chain, reader, not_applied=asked.not_applied, alive=_nobody)
        missing = list(dict.fromkeys(item.step for item in (*left.entries, *left.skipped)))
        undone: list[str] = []
        for run in chain.recoveries:
            if run.workflow_id == self._handle.id:
                trail = await read_run(self._client, run, _nobody)
                ended = [undo for undo in trail.undos if undo.succeeded and undo.ended is not None]
                undone += [undo.step for undo in sorted(ended, key=lambda undo: str(undo.ended))]
        last = dict.fromkeys(reversed(undone))
        return [step for step in reversed(last) if step not in missing], missing

    def _no_workers(self) -> CommandFailed:
        message = (
            f"No worker polls the queue {self._queue!r}; {self._handle.id} waits there for one. "
            f"Start it: {self._target.worker_command(self._queue)}"
        )
        return CommandFailed(message, code=ExitCode.NO_SERVER, type="NoWorker")


def _say_end(outcome: Recovery) -> None:
    say(f"recovery of {outcome.workflow_id}: {outcome.state.replace('_', ' ')}")
    if outcome.undone:
        say(f"undone: {', '.join(outcome.undone)}")
    if outcome.not_undone:
        say(f"NOT undone: {', '.join(outcome.not_undone)}")


def _effect(left: Leftovers) -> Sequence[Effect]:
    return [
        Effect(
            id=item.id,
            step=item.step,
            compensation=item.newest.compensation or "",
            is_known=item.known is not None,
        )
        for item in left.entries
    ]


def _nobody() -> None:
    """Nobody has to be told that a command is alive."""
