"""Waits until a recovery has ended, and reports what it undid."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError

from ...client.board_query import read_board
from ...histories.payload_reader import PayloadReader
from ...histories.run_chain import find_chain, judge, read_run
from ...runtime.connection import has_workers
from ...saga.failure import trim
from ...saga.record.search_attributes import SAGA_STATE
from ...saga.record.task_state import TaskState
from ..arguments.server_target import ServerTarget
from ..errors import CommandFailed
from ..exit_codes import ExitCode
from ..terminal.live_board import View, open_view
from ..terminal.output import say
from ..terminal.signals import Signals
from .recovery_report import RecoverOptions, RecoveryReport
from .task_watch import PATIENCE

_PAUSE: Final = 0.3
_TOLERATED: Final = 2
_GOES_ON: Final = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)


class RecoveryWait:
    """Waits for a recovery, using only what the server itself knows, because payloads may be encrypted."""

    def __init__(
        self,
        client: Client,
        target: ServerTarget,
        handle: WorkflowHandle[Any, Any],
        queue: str,
        signals: Signals,
    ) -> None:
        """Opens the view that shows the recovery.

        Args:
            client: A connected client.
            target: The server that the client is connected to.
            handle: The handle of the recovery's workflow.
            queue: The task queue of the recovery's workers.
            signals: The signals of this process; any of them ends the wait.
        """
        self._client = client
        self._target = target
        self._handle = handle
        self._queue = queue
        self._signals = signals
        self._view: View = open_view(target.options())
        self._told: set[str] = set()

    async def for_end(self, started: RecoveryReport, asked: RecoverOptions) -> RecoveryReport:
        """Waits for the end of the recovery, or for a signal.

        It also stops waiting when a person must decide and nobody is at the terminal.
        """
        leaving = asyncio.create_task(self._signals.next())
        try:
            state = await self._until_over(leaving)
        finally:
            leaving.cancel()
            self._view.pause()
        undone, not_undone = await self._what_became(asked, state)
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
            self._tell_trouble(found)
            if found.status not in _GOES_ON:
                done = found.status is WorkflowExecutionStatus.COMPLETED
                return TaskState.COMPLETED if done else TaskState.ROLLBACK_INCOMPLETE
            state = (board or {}).get("state") or found.typed_search_attributes.get(SAGA_STATE)
            if state == TaskState.NEEDS_ATTENTION and not self._signals.interactive:
                return TaskState.NEEDS_ATTENTION
            if loop.time() - answered > PATIENCE and not await has_workers(self._client, self._queue):
                raise self._no_workers()
            await asyncio.wait({leaving}, timeout=_PAUSE)
        say(f"{self._handle.id} goes on; see `{self._target.command('status', self._handle.id)}`.")
        return TaskState.COMPENSATING

    def _tell_trouble(self, found: WorkflowExecutionDescription) -> None:
        """Prints what keeps failing, e.g. reading a history on a worker that lacks the keys."""
        for pending in found.raw_description.pending_activities:
            if pending.attempt > _TOLERATED and pending.HasField("last_failure"):
                trouble = f"{pending.activity_type.name} fails: {trim(pending.last_failure.message, 300)}"
                if trouble not in self._told:
                    say(trouble)
                self._told.add(trouble)

    async def _board(self) -> Mapping[str, Any] | None:
        try:
            return await read_board(self._handle, 1.0)
        except RPCError:
            raise
        except Exception:
            return None  # encrypted: only a worker can read it

    async def _what_became(self, asked: RecoverOptions, state: TaskState) -> tuple[list[str], list[str]]:
        """Reads from histories which steps are undone and which are not."""
        chain = await find_chain(self._client, asked.id, asked.run_id)
        reader = PayloadReader(self._client.data_converter, self._client.namespace, strict=False)
        _, left = await judge(self._client, chain, reader, not_applied=asked.not_applied, alive=nobody)
        # The workers, who can read more, have found nothing else where the recovery has completed.
        standing = [] if state is TaskState.COMPLETED else left.entries
        missing = list(dict.fromkeys(item.step for item in (*standing, *left.skipped)))
        undone: list[str] = []
        for run in chain.recoveries:
            if run.workflow_id == self._handle.id:
                history = await read_run(self._client, run, nobody)
                ended = [undo for undo in history.undos if undo.succeeded and undo.ended is not None]
                undone += [undo.step for undo in sorted(ended, key=lambda undo: str(undo.ended))]
        last = dict.fromkeys(reversed(undone))
        return [step for step in reversed(last) if step not in missing], missing

    def _no_workers(self) -> CommandFailed:
        message = (
            f"No worker polls the queue {self._queue!r}; {self._handle.id} waits there for one. "
            f"Start it: {self._target.worker_command(self._queue)}"
        )
        return CommandFailed(message, code=ExitCode.NO_SERVER, type="NoWorker")


def nobody() -> None:
    """Takes the place of a heartbeat, which a command does not need to send."""


def _say_end(outcome: RecoveryReport) -> None:
    say(f"recovery of {outcome.workflow_id}: {outcome.state.replace('_', ' ')}")
    if outcome.undone:
        say(f"undone: {', '.join(outcome.undone)}")
    if outcome.not_undone:
        say(f"NOT undone: {', '.join(outcome.not_undone)}")
