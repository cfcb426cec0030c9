"""The tasks that are served, as one caller sees them: those that it has started itself.

The workflows are the only store: what a caller may know of a task stands in its memo and on its board.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from a2a.types import a2a_pb2 as pb
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from ..client import Asked, NoAnswer, Refused, Task, TaskClient, UnknownTask
from ..client.search import search
from ..client.updates import find_task, send_update
from ..saga.errors import FailureType
from ..saga.record.search_attributes import SAGA_STATE
from ..saga.record.task_state import TaskState
from ..saga.spec.task_spec import TaskSpec
from .incoming import SaidAnswer
from .task_view import CANCELED, COMPLETED, FAILED, SUBMITTED, WORKING, TaskView, answerable, has_ended

MOST_LISTED: Final = 1000
"""Of how many tasks of one caller, the newest ones, a list is made."""

_MEMO: Final = "a2a"
_SOONEST: Final = 0.3
_LATEST: Final = 2.0
_TAKEN_WITHIN: Final = timedelta(seconds=10)
_MOST_ASKED: Final = 100
_AT_ONCE: Final = 8
_NOT_BEGUN: Final = 3
"""Events of a task that no worker has answered for: its start, and a workflow task."""

_OF_STATUS: Final = {
    WorkflowExecutionStatus.COMPLETED: COMPLETED,
    WorkflowExecutionStatus.CANCELED: CANCELED,
    WorkflowExecutionStatus.TERMINATED: FAILED,
    WorkflowExecutionStatus.TIMED_OUT: FAILED,
}


@dataclass(frozen=True, slots=True)
class OwnedTask:
    """A task of a caller.

    Attributes:
        task: The task.
        found: What the server knows of it.
        context: The conversation that it belongs to.
        state: Where it was when it was listed.
    """

    task: Task
    found: WorkflowExecution
    context: str
    state: pb.TaskState = WORKING

    @property
    def view(self) -> TaskView:
        """How it is told."""
        return TaskView(self.task.id, self.context, self.task.name, self.found.start_time)


class ServedTasks:
    """Starts, finds and follows tasks for callers."""

    def __init__(self, client: Client, tasks: Mapping[str, TaskSpec], task_queue: str) -> None:
        """Prepares to serve.

        Args:
            client: A connected client.
            tasks: The registered tasks, by name.
            task_queue: The queue of the workers.
        """
        self._client = client
        self._starts = TaskClient(client, task_queue=task_queue)
        self.names = tasks

    async def start(
        self, subject: str, context: str | None, message_id: str, name: str, input: Any
    ) -> OwnedTask:
        """Starts a task, or finds the one that the same message has started before.

        Args:
            subject: Who asks for it; empty for callers without a name.
            context: The conversation that it belongs to; None for a new one.
            message_id: Which message asks for it.
            name: The task.
            input: Its input.

        Raises:
            IdInUse: The message has started another task, or with another input or context.
        """
        message = _hash(subject, message_id)[:32]
        id = f"{_prefix(subject)}{message}"
        memo = {"subject": subject, "context": context or f"context-{message}"}
        await self._starts.start(name, input, id=id, memo={_MEMO: memo})
        found = await self.find(subject, id)
        if context is not None and found.context != context:
            reason = f"the message {message_id!r} belongs to the context {found.context!r}"
            raise Refused(f"{reason}; another message needs another messageId", FailureType.REFUSED)
        return found

    async def find(self, subject: str, id: str) -> OwnedTask:
        """Finds a task of a caller.

        Raises:
            UnknownTask: There is no such task, it is not served here, or somebody else has started it.
        """
        # For whoever may not see a task the answer is the same as where there is none.
        unknown = UnknownTask(f"There is no task {id!r}.")
        try:
            _, found = await find_task(self._client, id)
        except UnknownTask:
            raise unknown from None
        owned = await self._owned(subject, found)
        if owned is None or found.workflow_type not in self.names:
            raise unknown
        return owned

    async def newest(self, subject: str) -> list[OwnedTask]:
        """Returns the newest tasks of a caller."""
        names = ", ".join(f"'{name}'" for name in sorted(self.names))
        query = f"WorkflowId STARTS_WITH '{_prefix(subject)}' AND WorkflowType IN ({names})"
        listed = [
            await self._owned(subject, found)
            async for found in search(self._client, query, limit=MOST_LISTED)
        ]
        return await self._with_states([owned for owned in listed if owned is not None])

    async def seen(self, found: OwnedTask) -> pb.Task:
        """Returns where a task is now."""
        if found.found.status is not WorkflowExecutionStatus.RUNNING:
            return await self._ended(found)
        try:
            board = await found.task.board()
        except NoAnswer:
            return found.view.without_board(begun=found.found.history_length > _NOT_BEGUN)
        if not has_ended(board):
            return found.view.of_board(board)
        return await self._ended(found)

    async def follow(self, found: OwnedTask) -> AsyncGenerator[pb.Task]:
        """Yields where a task is, now and after each change, until it has ended."""
        ending = asyncio.ensure_future(self._ended(found))
        pause, told = 0.0, b""
        try:
            while True:
                await asyncio.wait({ending}, timeout=pause)
                if ending.done():
                    yield ending.result()
                    return
                seen = await self._running(found)
                pause = min(pause * 1.5, _LATEST) if pause else _SOONEST
                now = seen.SerializeToString(deterministic=True) if seen is not None else told
                if seen is not None and now != told:
                    told, pause = now, _SOONEST
                    yield seen
        finally:
            ending.cancel()

    async def answer(self, found: OwnedTask, answer: SaidAnswer, by: str, message_id: str) -> None:
        """Answers the question of a task, once for each message.

        Args:
            found: The task.
            answer: What is said.
            by: Who says it.
            message_id: Which message says it.

        Raises:
            Refused: It asks nothing that could be answered, or not that.
        """
        update_id = f"a2a-{_hash(message_id, answer.model_dump_json())[:32]}"
        if await _was_taken(found.task, update_id):
            return
        asked = _meant(found.task.id, answerable(await found.task.board()), answer)
        action = next((one for one in asked.actions if one.casefold() == answer.action.casefold()), None)
        if asked.hash and answer.hash is None:
            reason = "the answer has to name the `hash` of what was shown, which the question has"
            raise Refused(f"{reason}, so that it is for exactly that", FailureType.REFUSED)
        said = {
            "step": asked.step,
            "action": action or answer.action,
            "value": answer.value,
            "by": by,
            "note": answer.note,
            **({"hash": answer.hash} if asked.hash else {}),
        }
        await send_update(self._client, asked.task or found.task.id, "decide", said, update_id=update_id)

    async def _owned(self, subject: str, found: WorkflowExecution) -> OwnedTask | None:
        """Returns a task of a caller; None where somebody else has started it."""
        known = await found.memo_value(_MEMO, None, type_hint=dict)
        if known is None or known.get("subject") != subject:
            return None
        handle = self._client.get_workflow_handle(found.id)
        name, queue = found.workflow_type, found.task_queue
        task = Task(self._client, handle, run_id=found.run_id, name=name, task_queue=queue)
        return OwnedTask(task, found, known["context"])

    async def _with_states(self, listed: list[OwnedTask]) -> list[OwnedTask]:
        """Adds the states; of some tasks only the board knows whether they ask somebody."""
        known = {one.task.id: state_shown(one.found) for one in listed}
        unknown = [one for one in listed if known[one.task.id] is None]
        # What a start has called running may wait for a worker still.
        running = [one for one in listed if known[one.task.id] == WORKING]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def ask(one: OwnedTask) -> None:
            async with gate:
                if known[one.task.id] is None:
                    known[one.task.id] = (await self.seen(one)).status.state
                elif (await one.task.handle.describe()).history_length <= _NOT_BEGUN:
                    known[one.task.id] = SUBMITTED

        await asyncio.gather(*map(ask, [*unknown, *running][:_MOST_ASKED]))
        return [replace(one, state=known[one.task.id] or _guess(one.found)) for one in listed]

    async def _running(self, found: OwnedTask) -> pb.Task | None:
        try:
            board = await found.task.board()
        except NoAnswer:
            return found.view.without_board(begun=False) if found.found.history_length <= _NOT_BEGUN else None
        return None if has_ended(board) else found.view.of_board(board)

    async def _ended(self, found: OwnedTask) -> pb.Task:
        outcome = await found.task.outcome()
        closed = (await found.task.handle.describe()).close_time
        return found.view.of_end(outcome, closed)


def state_shown(found: WorkflowExecution) -> pb.TaskState | None:
    """Returns the state that the server's own words tell; None where only the task can tell it."""
    if found.status in _OF_STATUS:
        return _OF_STATUS[found.status]
    shown = found.typed_search_attributes.get(SAGA_STATE)
    if shown in (None, TaskState.WAITING):
        return None
    return _guess(found)


def _guess(found: WorkflowExecution) -> pb.TaskState:
    return WORKING if found.status is WorkflowExecutionStatus.RUNNING else FAILED


async def _was_taken(task: Task, update_id: str) -> bool:
    """Says whether the task has taken an answer already; a child's answers it does not know."""
    try:
        await task.handle.get_update_handle(update_id).result(rpc_timeout=_TAKEN_WITHIN)
    except WorkflowUpdateFailedError:
        return False
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


def _meant(id: str, asked: tuple[Asked, ...], answer: SaidAnswer) -> Asked:
    """Returns the question that is answered."""
    if not asked:
        raise Refused(f"{id} does not ask for anything now", FailureType.REFUSED)
    meant = [one for one in asked if answer.step in (None, one.step)]
    if len(meant) == 1:
        return meant[0]
    steps = ", ".join(one.step for one in asked)
    raise Refused(f"the answer has to name one `step` of {steps}", FailureType.REFUSED)


def _prefix(subject: str) -> str:
    """Returns how the ids of a caller's tasks begin."""
    return f"a2a-{_hash(subject)[:16]}-"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
