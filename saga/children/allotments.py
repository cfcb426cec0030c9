"""The budget of a task, shared among itself and its children."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import FailureError

from ..limits.budget import Budget
from ..limits.purse import Allotment
from ..limits.usage import Usage
from ..record.task_record import TaskRecord
from ..temporal.handlers import serve_signal
from .child_spending import CHILD_SPENDS, PARENT_ALLOTS, ChildSpending, ParentAnswer
from .parent_budget import ParentBudget


class Allotments:
    """Gives each child a part of the budget at its start, and more when it asks.

    A child that asks gives back what it has not spent, and does not go on before it has its answer: of who
    waits nothing can come back, and so no two ever wait for each other.
    """

    def __init__(self, record: TaskRecord, parent_budget: ParentBudget, *, engine: int) -> None:
        """Prepares to share the budget of one task.

        Args:
            record: Holds the budget and what was spent.
            parent_budget: What the task itself gets from its parent.
            engine: By which rules the task is run, see `ENGINE`.
        """
        self._record = record
        self._parent = parent_budget
        self._shares = engine >= 3
        self._counts_all = engine >= 7
        self._asks: dict[str, ChildSpending] = {}
        self._answers: dict[str, ParentAnswer] = {}
        self._answering: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, Usage] = {}
        self._without_share: set[str] = set()
        self._dry: set[str] = set()
        self._listens = False
        if parent_budget.purse is not None:
            record.spending.spend_from(parent_budget.purse)

    # --- the task itself

    @property
    def can_ask(self) -> bool:
        """Whether the task spends a part of its parent's budget, and may ask for more."""
        return self._parent.purse is not None

    async def ask_parent(self, needs: Usage, least: Usage, is_over: Callable[[], bool]) -> str | None:
        """Asks the parent for more; see `ParentBudget.ask`."""
        return await self._parent.ask(needs, least, is_over)

    async def find_room(
        self, path: str, needs: Usage, least: Usage, is_over: Callable[[], bool]
    ) -> str | None:
        """Looks for room in a budget that allows no call: with the parent, or by waiting for what comes back.

        Args:
            path: The path of the call.
            needs: What is needed at once.
            least: What is of any use.
            is_over: Says whether nobody waits for that any more.

        Returns:
            Why there is none, and none will come; None when it is time to look again.
        """
        spending = self._record.spending
        seen = spending.changes
        why = spending.own_refusal(path, least)
        if why is None and self.can_ask:
            why = await self._parent.ask(needs, least, is_over)
        if why is None:
            return None
        if spending.changes == seen:
            if not self._may_come_back():
                return why
            await workflow.wait_condition(lambda: spending.changes != seen or is_over())
        return None

    def _may_come_back(self) -> bool:
        """Says whether somebody may give back what was promised: calls and children that go on."""
        spending = self._record.spending
        if not spending.shares:
            return False  # who waits for calls of the task itself knows that by himself
        return spending.has_calls_under_way or bool(spending.shares.keys() - self._dry)

    # --- its children

    def give(self, child: str, path: str, own: Budget) -> Allotment | None:
        """Gives a child its part at its start.

        Args:
            child: Its workflow id.
            path: Where it is started.
            own: Its own budget.

        Returns:
            Its part; None where there is no budget, or none that binds any more.
        """
        spending = self._record.spending
        if not self._shares or self._record.committed or not spending.left(path).binds:
            if self._counts_all:
                self._without_share.add(child)
                self._listen()
            return None
        self._listen()
        return Allotment(most=spending.allot(child, own, Usage(), path))

    def _listen(self) -> None:
        if not self._listens:
            self._listens = True
            serve_signal(CHILD_SPENDS, self._hear)

    def release(self, child: str) -> tuple[Usage | None, Budget]:
        """Takes back what a child was given: it has ended.

        Returns:
            What it has told to have spent in all, if it has, and the most that it could spend.
        """
        self._asks.pop(child, None)
        self._answers.pop(child, None)
        self._answering.pop(child, None)
        self._dry.discard(child)
        self._without_share.discard(child)
        return self._told.pop(child, None), self._record.spending.end_share(child)

    def _hear(self, argument: Any = None) -> None:
        try:
            told = ChildSpending.model_validate(argument)
        except ValidationError:
            return  # no child of ours has sent it
        shares = self._record.spending.shares
        if told.ask is None and (told.child in shares or told.child in self._without_share):
            self._told[told.child] = told.spent
        elif told.child in shares:
            self._answer(told)

    def _answer(self, told: ChildSpending) -> None:
        answer = self._answers.get(told.child)
        if answer is not None and answer.ask == told.ask:
            self._answering[told.child] = asyncio.create_task(self._send(told.child, answer))
        elif self._asks.get(told.child) != told:
            self._asks[told.child] = told
            self._dry.add(told.child)
            self._record.spending.take_back(told.child, told.spent)
            self._answering[told.child] = asyncio.create_task(self._serve(told))

    async def _serve(self, told: ChildSpending) -> None:
        """Answers one question, as soon as there is something to give, or nothing can come any more."""
        assert told.ask is not None
        spending = self._record.spending
        path, needs, least = spending.path_of(told.child), told.needs, told.least
        refused: str | None = None
        while refused is None and self._is_open(told):
            if self._record.committed:
                break
            if spending.left(path).refusal(Usage(), least) is None:
                break
            refused = await self.find_room(path, needs, least, lambda: not self._is_open(told))
        if not self._is_open(told):
            return
        del self._asks[told.child]
        answer = ParentAnswer(ask=told.ask, refused=refused)
        if refused is None:
            self._dry.discard(told.child)
            if not self._record.committed:
                most = spending.allot(told.child, Budget(), needs)
                answer = answer.model_copy(update={"most": most})
        self._answers[told.child] = answer
        await self._send(told.child, answer)

    def _is_open(self, told: ChildSpending) -> bool:
        return self._asks.get(told.child) is told

    async def _send(self, child: str, answer: ParentAnswer) -> None:
        handle = workflow.get_external_workflow_handle(child)
        with suppress(FailureError):  # it has ended meanwhile
            await handle.signal(PARENT_ALLOTS, answer.model_dump(mode="json"))
