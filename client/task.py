"""One task, as the programs see it that have started it, or watch it, or decide for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from temporalio.client import Client, WorkflowHandle

from ..saga.record.task_result import TaskResult
from ..saga.record.task_state import TaskState
from .board import QUERY_SECONDS, Board, last_board, standing_board
from .errors import NoAnswer, failure_for
from .outcome import Outcome, end_of, outcome_of, refusal_faults
from .payload import as_payload
from .recovery import with_recovery
from .updates import ask_to_cancel, find_task, send_update


class Task:
    """A task that runs, or has ended; from `TaskClient`.

    Attributes:
        id: The workflow id.
        run_id: The run that was started or found; a reset, or a long history, goes on in another one.
        name: The task's name: the workflow type.
        task_queue: Where its workers are.
        is_new: Whether this start has started it; False where it had been before.
        handle: Temporal's own, for everything else. It follows the id's newest run.
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

    async def board(self, *, seconds: float = QUERY_SECONDS) -> Board:
        """Asks for the task's whole state; a task that has ended tells it as well.

        Of one that was terminated or has timed out it is the last one, with the state `rollback_incomplete`.

        Args:
            seconds: How long its workers may take to answer.

        Returns:
            The board.

        Raises:
            NoAnswer: No worker has answered, or the workflow is no task.
            RPCError: The server does not answer.
        """
        board = await standing_board(self.handle, seconds)
        if board is None:
            message = f"No worker of the queue {self.task_queue!r} has told the board of {self.id}."
            raise NoAnswer(message, self.task_queue)
        return Board.model_validate(board)

    async def decide(self, step: str, action: str, *, by: str, value: Any = None, note: str = "") -> Any:
        """Answers for a step that waits for a person, as the board's `waiting_for` names it.

        Args:
            step: The step.
            action: One of the answers that it takes.
            by: Who says so: a claim that nobody checks.
            value: What the answer needs beside its name, e.g. an output.
            note: Why.

        Returns:
            What the task says to it, JSON.

        Raises:
            Refused: The task refuses.
            TaskEnded: It has ended.
            NoWorker: Nobody works on it, or nobody has answered in time.
            SpecError: What is to be sent is no JSON or too large; nothing was sent.
            RPCError: The server does not answer.
        """
        return await self._tell("decide", by, note, step=step, action=action, value=value)

    async def resolve(self, step: str, action: str, *, by: str, value: Any = None, note: str = "") -> Any:
        """Says what becomes of what needs attention, e.g. a stuck undo; otherwise like `decide`."""
        return await self._tell("resolve", by, note, step=step, action=action, value=value)

    async def amend(
        self,
        facts: Mapping[str, Any] | None = None,
        *,
        by: str,
        invalidates: Sequence[str] = (),
        note: str = "",
    ) -> list[str]:
        """Brings new facts: the steps that they affect are undone and run again, and no others.

        Args:
            facts: By name.
            by: Who says so: a claim that nobody checks.
            invalidates: Steps that have to run again in any case.
            note: Why.

        Returns:
            The steps that are affected; otherwise like `decide`.
        """
        answer = await self._tell("amend", by, note, facts=facts or {}, invalidates=list(invalidates))
        return list(answer["affected"])

    async def cancel(self) -> None:
        """Asks the task to cancel: what it did is undone first, and `result` tells when it is.

        Raises:
            TaskEnded: It has ended otherwise.
            RPCError: The server does not answer.
        """
        await ask_to_cancel(*await find_task(self._client, self.id))

    async def outcome(self) -> Outcome:
        """Waits for the end of the task, however it ends.

        Returns:
            How it ended. What a cancelled task has undone, only its workers know: without them `undone` is
            empty and `usage` None.

        Raises:
            RPCError: The server does not answer.
        """
        return await self._outcome(await end_of(self.handle))

    async def result(self) -> TaskResult:
        """Waits for the end of the task.

        Returns:
            What it has returned. Of a workflow with a `Saga`, that is its `output`.

        Raises:
            TaskRefused: It was not begun: the task, its spec or its input has faults.
            TaskRolledBack: It failed, and everything is undone.
            TaskCancelled: It was cancelled, and everything is undone.
            TaskRollbackIncomplete: Something that it did may still stand.
            RPCError: The server does not answer.
        """
        end = await end_of(self.handle)
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

    async def _tell(self, update: str, by: str, note: str, **argument: Any) -> Any:
        said = as_payload({**argument, "by": by, "note": note}, update)
        return await send_update(self._client, self.id, update, said)
