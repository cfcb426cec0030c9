"""Waits of a task for what all tasks of its pool share: limits, and models or tools that are left alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from temporalio import workflow

from ..errors import FailureType
from ..failure import Failed
from ..people.questions import Questions
from ..record.status import Status
from ..record.task_record import TaskRecord
from ..record.task_state import TaskState
from ..temporal.stop_scope import StopScope

LEAST_WAIT = timedelta(seconds=1)
"""A clock of the pool may be ahead of the task's; what was to be over by now is looked at a little later."""

_PROMPT = 10
"""How many times in a row a call looks again as soon as there may be room."""

_LONGEST_PAUSE = timedelta(minutes=5)

LIMIT_ANSWERS: Final = ("retry", "wait", "end")
"""What a person can say to a limit of the pool: look again now, when there may be room, or not at all."""

_ONE_SERIES = timedelta(minutes=2)
"""A wait that begins later than this after the one before it ended is the first of a new series."""


def least_wait(times: int) -> timedelta:
    """Returns how long is waited at least.

    Each wait makes the history longer, and a store, a model or a tool may be away for days: what has waited
    often looks again less often.

    Args:
        times: Which wait in a row it is.
    """
    doubled = min(max(0, times - _PROMPT), _PROMPT)
    return min(LEAST_WAIT * (1 << doubled), _LONGEST_PAUSE)


class LimitWaits:
    """Lets calls of one task wait outside of their attempts and timeouts: for a timer, or for a person."""

    def __init__(self, record: TaskRecord, status: Status, questions: Questions, engine: int) -> None:
        """Prepares to wait.

        Args:
            record: The task's record, which knows who waits.
            status: Shows that the task waits.
            questions: Asks people.
            engine: See `Snapshot`.
        """
        self._record = record
        self._status = status
        self._questions = questions
        self._may_ask = engine >= 8
        self._asked: set[str] = set()
        self._waited: dict[str, tuple[int, datetime]] = {}

    async def outlast(self, step: str, path: str, failed: Failed, scope: StopScope) -> None:
        """Waits until a call may be made again.

        Args:
            step: The id of its step.
            path: The call's place in the task.
            failed: How it has ended.
            scope: A stop ends the wait.

        Raises:
            Failed: It is not for the call to wait: it has failed otherwise, somebody else goes on, or a
                person has ended it.
            Stopped: The scope was stopped.
        """
        until, type_ = failed.until, failed.failure.type
        if until is None:
            raise failed
        if self._asks(type_, path):
            answer = await self._ask(path, failed, until, scope)
            if answer == "end":  # for whoever has asked for the call, too: the next one would ask again
                raise Failed(failed.failure, not_applied=failed.not_applied, ends_step=True) from failed
            if answer == "retry":
                return
        elif not self._waits(type_, path):
            raise failed
        self._record.log.decide("refusal", f"waits until {until}", step, failed.failure.message, call=path)
        self._record.wait_step(step)
        self._status.hold(TaskState.WAITING, step)
        try:
            await self._until(datetime.fromisoformat(until), path, failed.failure.message, scope)
        except Exception:  # not when the run is only evicted
            self._end(step)
            raise
        self._end(step)
        scope.check(step)

    def _waits(self, type_: str, path: str) -> bool:
        policies = self._record.policies
        if type_ == FailureType.LIMIT_REACHED:
            return policies.waits_for_limit(path)
        return type_ == FailureType.BREAKER_OPEN and policies.waits_for_breaker(path)

    def _asks(self, type_: str, path: str) -> bool:
        is_limit = type_ == FailureType.LIMIT_REACHED
        return is_limit and self._may_ask and self._record.policies.asks_about_limit(path)

    async def _ask(self, path: str, failed: Failed, until: str, scope: StopScope) -> str:
        """Returns what a person says, who is asked by the name of the job that cannot go on."""
        job, _, last = path.rpartition("/")
        name = f"{job if last.startswith('model.') else path}/limit"
        if name in self._asked:  # another request of the same job is held up as well
            name = f"{path}/limit"
        self._asked.add(name)
        try:
            answer = await self._questions.ask(
                name,
                "limit",
                f"{failed.failure}; there may be room at {until}; what now?",
                dict.fromkeys(LIMIT_ANSWERS),
                scope,
                show={"until": until},
            )
        finally:
            self._asked.discard(name)
        return answer.action

    async def _until(self, until: datetime, path: str, why: str, scope: StopScope) -> None:
        times, ended = self._waited.get(path, (0, workflow.now()))
        times = 1 if workflow.now() - ended > _ONE_SERIES else times + 1
        left = max(until - workflow.now(), least_wait(times))
        try:
            await workflow.wait_condition(lambda: scope.stopped, timeout=left, timeout_summary=why[:200])
        except TimeoutError:
            self._waited[path] = times, workflow.now()

    def _end(self, step: str) -> None:
        self._record.wait_step(step, over=True)
        self._status.release(TaskState.WAITING, step)
