"""One task, as seen by the programs that start it, watch it or make decisions for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from temporalio.client import Client, WorkflowHandle

from ..runtime.codec import PayloadUnreadable
from ..saga.record.task_result import TaskResult
from ..saga.record.task_state import TaskState
from .board import Board, last_board, standing_board
from .board_query import QUERY_SECONDS
from .errors import NoAnswer, failure_for
from .outcome import Outcome, end_of, outcome_of, refusal_faults
from .payload import as_payload
from .recovery import board_with_recovery, with_recovery
from .server_board import server_board
from .updates import ask_to_cancel, find_task, send_update


class Task:
    """A task that is running or has ended; `TaskClient` makes it.

    Attributes:
        id: The workflow id.
        run_id: The run that was started or found; after a reset, or with a long history, the task goes on in
            another run.
        name: The task's name, which is its workflow type.
        task_queue: The queue of its workers.
        is_new: Whether this call started the task; False if it had been started before.
        handle: Temporal's own handle, for everything else. It follows the newest run of the id.
    """

    def __init__(
        self,
        client: Client,
        handle: WorkflowHandle[Any, Any],
        *,
        run_id: str,
        name: str,
        task_queue: str,
        is_new: bool = False,
    ) -> None:
        """Made by `TaskClient`."""
        self._client = client
        self.handle = handle
        self.id = handle.id
        self.run_id = run_id
        self.name = name
        self.task_queue = task_queue
        self.is_new = is_new

    async def board(self, *, seconds: float = QUERY_SECONDS, partial: bool = False) -> Board:
        """Asks for the whole state of the task, which may have ended.

        For a task that was terminated or has timed out, this is its last board, with the state
        `rollback_incomplete`, with `forced_end`, and with the `recovery` that has undone it since.

        Args:
            seconds: How long its workers may take to answer.
            partial: Whether to return what the server knows if no worker answers; such a board says so in
                its own `partial`.

        Returns:
            The board.

        Raises:
            NoAnswer: No worker has answered, or the workflow is not a task.
            RPCError: The server does not answer.
        """
        board = await standing_board(self.handle, seconds)
        if board is None:
            message = f"No worker of the queue {self.task_queue!r} has told the board of {self.id}."
            if not partial:
                raise NoAnswer(message, self.task_queue)
            board = await server_board(self.handle, await self.handle.describe(), message.rstrip("."))
        known = await board_with_recovery(self._client, board)
        return Board.model_validate({name: value for name, value in known.items() if value is not None})

    async def decide(
        self,
        step: str,
        action: str,
        *,
        by: str | None = None,
        value: Any = None,
        note: str = "",
        hash: str | None = None,
        token: str | None = None,
    ) -> Any:
        """Answers a step that waits for a person; the board's `waiting_for` names such steps.

        Args:
            step: The step.
            action: One of the answers that the step takes.
            by: The person who decides; this is a claim that is not checked. With a token it is not needed.
            value: What the answer needs beside its name, e.g. an output.
            note: The reason.
            hash: The hash of what was shown, where the board's question has one.
            token: A signed token that proves who decides.

        Returns:
            The task's reply as JSON.

        Raises:
            Refused: The task refuses the answer.
            TaskEnded: The task has ended.
            NoWorker: No worker runs the task, or none has answered in time.
            SpecError: The value is not JSON or is too large; nothing was sent.
            RPCError: The server does not answer.
        """
        shown = {} if hash is None else {"hash": hash}
        return await self._tell("decide", by, note, token, step=step, action=action, value=value, **shown)

    async def resolve(
        self,
        step: str,
        action: str,
        *,
        by: str | None = None,
        value: Any = None,
        note: str = "",
        token: str | None = None,
    ) -> Any:
        """Settles what needs attention, e.g. a stuck undo; in all else it is like `decide`.

        Args:
            step: The step: all its stuck undos are settled alike. To settle one of them, its `entry` in the
                board's `waiting_for`.
            action: See `decide`, as for the others.
            by: See there.
            value: See there.
            note: See there.
            token: See there.

        Returns:
            The task's reply: for stuck undos, `undos` lists the ids of those that were settled.
        """
        return await self._tell("resolve", by, note, token, step=step, action=action, value=value)

    async def amend(
        self,
        facts: Mapping[str, Any] | None = None,
        *,
        by: str | None = None,
        invalidates: Sequence[str] = (),
        note: str = "",
        token: str | None = None,
    ) -> list[str]:
        """Brings new facts to the task: only the steps that they affect are undone and run again.

        Args:
            facts: The facts by their names.
            by: The person who brings them; a claim that is not checked. With a token it is not needed.
            invalidates: Steps that have to run again in any case.
            note: The reason.
            token: A signed token that proves who brings them.

        Returns:
            The steps that are affected. It raises what `decide` raises.
        """
        new = {"facts": facts or {}, "invalidates": list(invalidates)}
        answer = await self._tell("amend", by, note, token, **new)
        return list(answer["affected"])

    async def cancel(self) -> None:
        """Asks the task to cancel, which first undoes what it did; wait for that with `result`.

        Raises:
            TaskEnded: The task has ended, but not by a cancel.
            RPCError: The server does not answer.
        """
        await ask_to_cancel(self._client, *await find_task(self._client, self.id))

    async def outcome(self) -> Outcome:
        """Waits for the end of the task, however it ends.

        Returns:
            How it ended. Only its workers know what a cancelled task has undone: without them `undone` is
            empty and `usage` is None.

        Raises:
            RPCError: The server does not answer.
        """
        return await self._outcome(await end_of(self.handle))

    async def result(self) -> TaskResult:
        """Waits for the end of the task.

        Returns:
            What the task returned. For a workflow with a `Saga`, that is the `output`.

        Raises:
            TaskRefused: The task was not begun, because the task, its spec or its input has faults.
            TaskRolledBack: The task failed, and everything that it did has been undone.
            TaskCancelled: The task was cancelled, and everything that it did has been undone.
            TaskRollbackIncomplete: Something that the task did may still stand.
            PayloadUnreadable: The task has completed, and its result cannot be decoded by this client.
            RPCError: The server does not answer.
        """
        end = await end_of(self.handle)
        if isinstance(end, PayloadUnreadable):
            raise end
        outcome = await self._outcome(end)
        if outcome.state != TaskState.COMPLETED:
            raise failure_for(outcome, refusal_faults(end))
        is_task = isinstance(end, Mapping) and end.get("state") == TaskState.COMPLETED
        nothing: dict[str, Any] = {"undone": [], "not_undone": [], "usage": {}}
        own = {**nothing, "task": self.name, "state": outcome.state, "output": end}
        return TaskResult.model_validate(end if is_task else own)

    async def _outcome(self, end: BaseException | Any) -> Outcome:
        outcome = outcome_of(end, await last_board(self.handle, end), (self.id, self.run_id))
        return await with_recovery(self._client, outcome)

    async def _tell(self, update: str, by: str | None, note: str, token: str | None, **argument: Any) -> Any:
        who = {name: value for name, value in (("by", by), ("token", token)) if value is not None}
        said = as_payload({**argument, **who, "note": note}, update)
        return await send_update(self._client, self.id, update, said)
