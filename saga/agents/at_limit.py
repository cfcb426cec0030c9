"""What an agent does when a limit is reached: its turns, a budget, or a loop."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Protocol

from pydantic import ValidationError

from ..errors import FailureType
from ..failure import Failed, Stopped
from ..fault_texts import faults_in
from ..limits.budget import Budget
from ..limits.limit_policies import OnLimit
from ..people.questions import Questions
from ..record.task_record import TaskRecord
from ..spec.catalog import AgentEntry
from ..temporal.stop_scope import StopScope
from .assignment import Assignment

LIMITS: Final = frozenset({FailureType.BUDGET_EXCEEDED, FailureType.MAX_TURNS, FailureType.LOOP_DETECTED})
"""Failures of an agent that has not come to its end because of a limit."""

_SUM_UP: Final = "Make the best answer of what there is, now, and say in it what is missing."


class Limited(Protocol):
    """A conversation that has reached a limit.

    Attributes:
        agent: With whom.
        job: What is to be done.
        degraded: Which limit was reached; empty where its answer is whole.
    """

    agent: AgentEntry
    job: Assignment
    degraded: str

    async def sum_up(self, please: str, scope: StopScope, *, briefly: bool = False) -> bool:
        """Asks for the answer, without any tools, once; says whether there is one that fits."""

    def allow_more(self) -> None:
        """Lets it go on past a limit of its own."""


class AtLimit:
    """Does what the `on_limit` of one job says.

    Attributes:
        on_limit: That; None to fail.
    """

    def __init__(
        self, on_limit: OnLimit | None, record: TaskRecord, questions: Questions, engine: int
    ) -> None:
        """Prepares for one job.

        Args:
            on_limit: See the attributes.
            record: The task's record.
            questions: Asks people.
            engine: See `Snapshot`.
        """
        self.on_limit = on_limit
        self._record = record
        self._questions = questions
        self._heeds_pool = engine >= 8

    @property
    def sums_up(self) -> bool:
        """Whether one last call sums up what there is."""
        return self.on_limit == "finish"

    async def goes_on(self, loop: Limited, failed: Failed, scope: StopScope) -> bool:
        """Sums up, or asks a person.

        Args:
            loop: The conversation; it has its answer where that is the end.
            failed: Which limit was reached.
            scope: The part of the task that it belongs to.

        Returns:
            Whether the conversation goes on, since a person has raised the limit.

        Raises:
            Failed: It ends here.
            Stopped: The scope was stopped.
        """
        # Of the pool's limits people are asked where calls are made, also those of judges and teams.
        of_pool = self._heeds_pool and self.sums_up and failed.failure.type == FailureType.LIMIT_REACHED
        if isinstance(failed, Stopped) or not (of_pool or failed.failure.type in LIMITS):
            raise failed
        if self.on_limit == "escalate":
            await self._ask(loop, failed, scope)
            return True
        if not self.sums_up:
            raise failed
        message = failed.failure.message
        self._record.log.decide("rung", "sums up what there is", loop.job.step, message, call=loop.job.path)
        if not await loop.sum_up(f"A limit is reached: {message}. {_SUM_UP}", scope, briefly=of_pool):
            raise failed
        loop.degraded = message
        if loop.job.step in self._record.steps:
            self._record.steps[loop.job.step].degrade(message)
        return False

    async def _ask(self, loop: Limited, failed: Failed, scope: StopScope) -> None:
        """Asks a person to raise the limit; raises where that is not wanted, or does not help."""
        over_budget = failed.failure.type == FailureType.BUDGET_EXCEEDED
        if over_budget and not self._record.spending.may_be_raised:
            raise failed  # it is the parent's
        answer = await self._questions.ask(
            f"{loop.job.path}/limit",
            "limit",
            f"{failed.failure}; what now?",
            {"raise": partial(self._fault_of_more, loop.job.path, failed), "end": None},
            scope,
            show={"agent": loop.agent.name, "usage": self._record.spending.usage.report()},
        )
        if answer.action == "end":
            raise failed
        more = None if answer.value is None else Budget.model_validate(answer.value)
        if over_budget:
            self._record.spending.raise_budget(loop.job.path, failed.failure.message, more)
        else:
            loop.allow_more()

    def _fault_of_more(self, path: str, failed: Failed, value: Any) -> str | None:
        more = None
        try:
            more = None if value is None else Budget.model_validate(value)
        except ValidationError as error:
            return faults_in(
                error, "the value, which is what to add to a budget, or nothing for as much again"
            )
        if failed.failure.type != FailureType.BUDGET_EXCEEDED:
            return None
        return self._record.spending.fault_of_raise(path, failed.failure.message, more)
