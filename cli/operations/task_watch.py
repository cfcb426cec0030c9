"""Watches a task until its end, and obeys the signals that arrive in the meantime."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from ...client.board import last_board
from ...client.board_query import QUERY_SECONDS, read_board
from ...client.outcome import end_of, tells_all
from ...client.recovery import has_begun_nothing
from ...runtime.codec import PayloadUnreadable
from ...runtime.connection import has_workers
from ...saga.record.search_attributes import SAGA_STATE
from ...saga.record.task_state import ENDED, TaskState
from ..arguments.shell_command import command_line
from ..terminal.live_board import View
from ..terminal.output import say
from ..terminal.questions import PEOPLE
from ..terminal.signals import Signals, ask
from .answer_prompt import AnswerPrompt
from .put_aside import put_aside

ENDED_SECONDS: Final = 3.0
"""How long the last board of a task may take: its workers may have ended, and nobody knows yet."""

PATIENCE: Final = 5.0
"""Seconds without an answer from a task before its queue is looked at for workers."""

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Watched:
    """The result of watching a task.

    Attributes:
        ended: Whether the task has ended; if not, it was left running.
        end: Its result or error, from `end_of`.
        board: The last board; None if no worker has answered.
        at_once: Whether the user wants to leave without waiting for anything.
        is_cancelled: Whether the task was asked to cancel.
        unattended: Whether the task needs a person's decision and nobody is at this terminal.
    """

    ended: bool
    end: Any
    board: Mapping[str, Any] | None
    at_once: bool = False
    is_cancelled: bool = False
    unattended: bool = False


class TaskWatch:
    """Watches one task.

    Attributes:
        unanswered: When, on the event loop's clock, the boards stopped coming; None while they come.
    """

    def __init__(
        self,
        handle: WorkflowHandle[Any, Any],
        view: View,
        signals: Signals,
        *,
        is_cancelled: bool = False,
        only_looks: bool = False,
        server: Sequence[str] = (),
        prompt: AnswerPrompt | None = None,
    ) -> None:
        """Prepares to watch a task.

        Args:
            handle: The handle of the task.
            view: The view that shows the task.
            signals: The signals of this process, which are obeyed.
            is_cancelled: Whether the task was asked to cancel already; any signal then means to leave it.
            only_looks: Whether the task is somebody else's; any signal then means to leave it.
            server: The options with which other commands reach the task's server.
            prompt: What takes answers if somebody is at the terminal; without it, nothing is asked here.
        """
        self._prompt = prompt if signals.interactive else None
        self._server = server
        self._handle = handle
        self._view = view
        self._signals = signals
        self._board: Mapping[str, Any] | None = None
        self._ended: asyncio.Task[Any] | None = None
        self._is_cancelled = is_cancelled
        self._only_looks = only_looks
        self.unanswered: float | None = None

    async def until_end(self, *guards: asyncio.Task[Any], last: float = QUERY_SECONDS) -> Watched:
        """Waits for the end of the task.

        Args:
            guards: Asyncio tasks that only ever end with an exception, which also ends the watch. They are
                cancelled when the watch ends.
            last: How many seconds to wait for the board at the end; 0 to do without it.

        Returns:
            The result of watching.
        """
        self._ended = asyncio.create_task(end_of(self._handle))
        boards = asyncio.create_task(self._follow())
        try:
            at_once = await self._wait({self._ended, boards, *guards})
            if not self._ended.done():
                return Watched(
                    ended=False,
                    end=None,
                    board=self._board,
                    at_once=at_once,
                    is_cancelled=self._is_cancelled,
                    unattended=boards.done(),
                )
            end = self._ended.result()
            # A board from before the end would not show everything that was undone, so it is asked for again.
            board = await self._last_board(end, last) if last else None
            return Watched(ended=True, end=end, board=board)
        finally:
            self._view.pause()
            await put_aside(self._ended, boards, *guards)

    async def _wait(self, vital: set[asyncio.Task[Any]]) -> bool:
        """Waits until one of `vital` is done or the user leaves; returns whether to leave at once."""
        assert self._ended is not None
        while True:
            arrival = asyncio.create_task(self._signals.next())
            asking = {asyncio.create_task(self._prompt.serve())} if self._prompt is not None else set()
            done, _ = await asyncio.wait({*vital, *asking, arrival}, return_when=asyncio.FIRST_COMPLETED)
            if not arrival.done():
                arrival.cancel()
            await put_aside(*asking - done)
            if self._prompt is not None:
                self._leave_prompt(self._prompt, has_ended=self._ended in done)
            if self._ended in done:
                return False
            for task in done & (vital | asking):
                task.result()
            if arrival not in done:
                return False
            decision = await self._decide(arrival.result())
            if decision in ("leave", "leave at once"):
                return decision == "leave at once"
            if decision == "cancel":
                await self._cancel()

    def _leave_prompt(self, prompt: AnswerPrompt, *, has_ended: bool) -> None:
        if prompt.open is not None:
            say(f"\n{prompt.open.label} needs no answer any more: the task has ended." if has_ended else "")
        if has_ended:
            self._view.resume()

    async def _decide(self, arrived: signal.Signals) -> str:
        if self._is_cancelled or self._only_looks:
            return "leave at once"
        if arrived is not signal.SIGINT or not self._signals.interactive:
            return "cancel"
        self._view.pause()
        assert self._ended is not None
        answer = asyncio.create_task(ask(self._handle.id))
        again = asyncio.create_task(self._signals.next())
        done, _ = await asyncio.wait({answer, again, self._ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in {answer, again} - done:
            task.cancel()
        if again in done:
            say("")
            return "leave at once"
        decision = answer.result() if answer in done else "go on"
        if decision != "leave":
            self._view.resume()
        return decision

    async def _cancel(self) -> None:
        self._is_cancelled = True
        say("Cancelling: what was done is undone first. A second signal (Ctrl-C) leaves at once.")
        try:
            await self._handle.cancel()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it has ended at this moment, which is seen next
                raise

    async def _follow(self) -> None:
        """Shows boards as they change, until nothing goes on without a person, and nobody is here."""
        pause = _FIRST_PAUSE
        while True:
            try:
                board = await read_board(self._handle)
            except PayloadUnreadable as unread:
                say(f"How it goes cannot be shown. {unread}")
                return await self._follow_state()
            if board is None:
                self.unanswered = self.unanswered or asyncio.get_running_loop().time()
            else:
                self.unanswered = None
                pause = _FIRST_PAUSE if board != self._board else min(pause * 1.5, _LONGEST_PAUSE)
                self._show(board)
                # What waits for a time, an event or a limit asks nobody, and goes on by itself.
                asks = self._is_unattended(board["state"]) and board["waiting_for"]
                if asks and await _is_idle(self._handle):
                    return
            await asyncio.sleep(pause)

    async def _follow_state(self) -> None:
        """Follows what the server itself knows, in the same way, where no board can be read."""
        while True:
            found = await self._handle.describe()
            state = found.typed_search_attributes.get(SAGA_STATE)
            if state is not None:
                self._board = {"state": state}
            if self._is_unattended(state or "") and await _is_idle(self._handle):
                return
            await asyncio.sleep(_LONGEST_PAUSE)

    def _is_unattended(self, state: str) -> bool:
        # Once the task is being cancelled, the questions of its steps no longer need an answer.
        asks = {TaskState.NEEDS_ATTENTION} if self._is_cancelled else PEOPLE
        return not self._signals.interactive and state in asks

    async def _last_board(self, end: Any, seconds: float) -> Mapping[str, Any] | None:
        if tells_all(end):
            try:
                board = await read_board(self._handle, seconds)
            except PayloadUnreadable:
                return None  # which has been said
        else:
            seen = self._board or {}
            board = seen if seen.get("state") in ENDED else await last_board(self._handle, end)
            if board is None and await has_begun_nothing(self._handle):
                say("It had done nothing yet.")
            elif board is None:
                again = command_line("status", self._handle.id, server=self._server)
                say(f"No worker tells what was undone; `{again}` asks again.")
        if board is not None:
            self._show(board)
        return board

    def _show(self, board: Mapping[str, Any]) -> None:
        self._board = board
        self._view.show(board)
        if self._prompt is not None:
            self._prompt.see(board)


async def _is_idle(handle: WorkflowHandle[Any, Any]) -> bool:
    """Returns whether the task and its calls are idle, and will stay so unless somebody acts."""
    known = (await handle.describe()).raw_description
    return not known.pending_activities and not known.HasField("pending_workflow_task")


async def miss_workers(
    client: Client, task_queue: str, watch: TaskWatch, error: Callable[[], Exception]
) -> None:
    """Raises an exception once a task does not answer and its queue has no workers left.

    Args:
        client: A connected client.
        task_queue: The task's queue.
        watch: The watch of the task.
        error: Makes the exception.

    Raises:
        Exception: The exception that `error` has made.
    """
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(PATIENCE / 5)
        silent = watch.unanswered is not None and loop.time() - watch.unanswered >= PATIENCE
        if silent and not await has_workers(client, task_queue):
            raise error()
