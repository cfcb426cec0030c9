"""What a reset of the running workflow has lost: undos that have finished, as its history does not tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from pydantic import BaseModel, ConfigDict
from temporalio import workflow
from temporalio.common import RetryPolicy

from ..errors import FailureType
from ..failure import Failed, Failure, Stopped
from ..history_format import READ_LOST_UNDOS
from ..ledger.call_id import CallId
from ..ledger.ledger import Entry, EntryState
from ..people.questions import Check, Questions
from ..record.task_record import TaskRecord
from ..record.task_state import TaskState
from ..temporal.stop_scope import StopScope

_LONGEST_READ = timedelta(minutes=10)
_READ_HEARTBEAT = timedelta(seconds=30)
_SHOWN = 5


class LostUndo(BaseModel):
    """An undo that has finished in a run that a reset has replaced, or in a recovery.

    Attributes:
        id: The id of the ledger entry that it belongs to.
        key: The idempotency key of the call.
        step: The id of the step.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    key: str
    step: str


class ResetGate:
    """Notices a reset before the next call is made, and asks a person what is to become of the task.

    A run that was never reset has no event of this in its history.

    Attributes:
        roll_back: Stops the whole task, with the reason; None where each further call is to fail instead.
        makes_calls: Whether the run makes calls of its own; a recovery only undoes those of others.
    """

    def __init__(self, record: TaskRecord, questions: Questions, taken_by: str, *, engine: int) -> None:
        """Prepares for resets.

        Args:
            record: The task's record.
            questions: Asked where a finished undo was lost.
            taken_by: The run that has taken the task's snapshot; empty where that was none that could tell,
                and no reset is noticed.
            engine: By which rules the task is run, see `ENGINE`.
        """
        self.makes_calls = engine >= 2
        self.roll_back: Callable[[str], None] | None = None
        self._record = record
        self._questions = questions
        self._can_tell = taken_by != ""
        # A reset to before the snapshot is told by the snapshot, any other one by the record.
        info = workflow.info()
        self._has_begun_again = taken_by != info.first_execution_run_id and info.continued_run_id is None
        self._undoes_replaced = engine >= 8
        self._seen = -1 if self._has_begun_again else 0
        self._reading: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._lost: Sequence[LostUndo] = ()
        self._undone: set[str] = set()
        self._answer: str | None = None

    @property
    def replaces_runs(self) -> bool:
        """Whether the run has to undo what runs have done that a reset has replaced by it."""
        was_reset = self._can_tell and (self._has_begun_again or self._record.resets.count > 0)
        return was_reset and self._undoes_replaced and self.makes_calls

    async def is_undone(self, entry: Entry) -> bool:
        """Says whether a reset has lost the finished undo of a call: it is not to run again.

        A call that was under way at the reset, or was made after it, has done again what was undone.
        """
        await self._read_if_due()
        if entry.key not in self._undone:
            return False
        return not (self.makes_calls and self._record.resets.has_ended_since(entry.id, self._seen))

    async def pass_gate(self, step: str, scope: StopScope) -> None:
        """Returns when calls may be made; at once in a run that was never reset.

        Args:
            step: Who asks.
            scope: The part of the task that it belongs to.

        Raises:
            Failed: A person has chosen to roll back.
            Stopped: The scope was stopped meanwhile.
        """
        await self._read_if_due()
        if not self._lost:
            return
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(scope.root))
        if not self._asking.done():
            await workflow.wait_condition(self._asking.done)
        scope.check(step)
        if self._answer == "rollback":
            message = "after a reset somebody has chosen to roll back"
            failure = Failure(step=step, type=FailureType.RESET, message=message)
            raise Failed(failure, not_applied=True)

    async def round_at(self, path: str, begun: int, step: str, scope: StopScope) -> int:
        """Passes the gate for a call of a loop that may have begun before a reset, and gives it its round.

        Args:
            path: Where the call is made.
            begun: The round in which the loop has begun.
            step: Who asks.
            scope: The part of the task that it belongs to.

        Returns:
            That round, or a later one if a call at this path is undone in a run that a reset has replaced.

        Raises:
            Failed: A person has chosen to roll back.
            Stopped: The scope was stopped meanwhile.
        """
        await self.pass_gate(step, scope)
        return max(begun, self._record.rounds.get(path, 0) + 1)

    async def _read_if_due(self) -> None:
        if self._can_tell and self._seen < self._record.resets.count:
            self._seen = self._record.resets.count
            self._reading = asyncio.create_task(self._read())
        if self._reading is None:
            return
        if not self._reading.done():
            await workflow.wait_condition(self._reading.done)
        self._reading.result()

    async def _read(self) -> None:
        found = await workflow.execute_activity(
            READ_LOST_UNDOS,
            start_to_close_timeout=_LONGEST_READ,
            heartbeat_timeout=_READ_HEARTBEAT,
            retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=1)),
            summary="read what was undone before the reset",
        )
        known = {entry.key for entry in self._record.ledger if entry.state is EntryState.UNDONE}
        lost = [undo for undo in map(LostUndo.model_validate, found) if undo.key not in known]
        self._lost, self._asking, self._answer = lost, None, None
        self._undone |= {undo.key for undo in lost}
        steps = ", ".join(_steps(lost))
        self._record.log.add("counterstep", "was reset", why=f"undone already: {steps}" if lost else "")

    async def _ask(self, scope: StopScope) -> None:
        steps = _steps(self._lost)
        shown = ", ".join(steps[:_SHOWN]) + (", ..." if len(steps) > _SHOWN else "")
        ask = (
            f"the task was reset to before undos had finished: what these steps did is undone, {shown}. "
            "rollback: undo the rest too; go_on: as if it were still there, and what is done from now on is "
            "done anew"
        )
        actions: dict[str, Check | None] = {"go_on": None}
        if not self._record.committed:
            actions["rollback"] = None
        try:
            answer = await self._questions.ask(
                steps[0], "reset", ask, actions, scope, state=TaskState.NEEDS_ATTENTION
            )
        except Stopped:
            return
        self._answer = answer.action
        if answer.action == "go_on":
            self._count_rounds()
            self._lost = ()
        elif self.roll_back is not None:
            self.roll_back(f"a reset, after which {answer.by} has chosen to roll back")

    def _count_rounds(self) -> None:
        """Gives calls that are still to be made other keys than those whose undos have finished."""
        for undo in self._lost:
            for call in CallId.parse(undo.id).with_children():
                self._record.count_rounds(call)


def _steps(lost: Sequence[LostUndo]) -> list[str]:
    return list(dict.fromkeys(undo.step for undo in lost))
