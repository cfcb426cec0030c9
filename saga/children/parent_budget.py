"""The part of its parent's budget that a child may spend, and how it asks for more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import FailureError

from ..limits.purse import Allotment, Purse
from ..limits.usage import Usage
from ..temporal.handlers import serve_signal
from .child_spending import CHILD_SPENDS, PARENT_ALLOTS, ChildSpending, ParentAnswer


class ParentBudget:
    """What the parent of the running workflow lets it spend.

    Attributes:
        purse: Counts that; None where the parent has no budget, or there is none.
    """

    def __init__(self, allotment: Allotment | None) -> None:
        """Begins with what was given at the start."""
        self.purse = None if allotment is None or not allotment.most.binds else Purse(allotment)
        self._asked = 0
        self._asking: asyncio.Task[str | None] | None = None
        self._asks_for: tuple[bool, ...] = ()
        self._answer: ParentAnswer | None = None
        if self.purse is not None:
            serve_signal(PARENT_ALLOTS, self._hear)

    async def ask(self, needs: Usage, least: Usage, is_over: Callable[[], bool]) -> str | None:
        """Asks for more, once for all who need it meanwhile, and waits for the answer.

        Args:
            needs: What is needed at once.
            least: What is of any use.
            is_over: Says whether nobody waits for that any more.

        Returns:
            Why there is nothing more; None where there is.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(needs, least))
            self._asks_for = _kinds_in(needs)
        asking, asked_for = self._asking, self._asks_for
        await workflow.wait_condition(lambda: asking.done() or is_over())
        # That there is nothing more of one kind says nothing of another, which is asked for next.
        return asking.result() if asking.done() and asked_for == _kinds_in(needs) else None

    async def _ask(self, needs: Usage, least: Usage) -> str | None:
        """Gives back what is not spent, so that nobody waits for it, and gets all in one answer."""
        assert self.purse is not None
        info = workflow.info()
        self._asked += 1
        ask = f"{info.run_id}/{self._asked}"
        spending = ChildSpending(
            child=info.workflow_id,
            spent=self.purse.give_back(),
            ask=ask,
            calls=needs.model_calls,
            least_calls=least.model_calls,
            tokens=needs.tokens,
            usd=needs.usd,
            tool_calls=needs.tool_calls,
            handoffs=needs.handoffs,
        )
        try:
            await signal_parent(spending)
        except FailureError:
            return "the task that has the budget has ended"
        await workflow.wait_condition(lambda: self._answer is not None and self._answer.ask == ask)
        answer = self._answer
        assert answer is not None
        if answer.refused is None:
            self.purse.most = answer.most
        return answer.refused

    def _hear(self, argument: Any = None) -> None:
        try:
            self._answer = ParentAnswer.model_validate(argument)
        except ValidationError:
            return  # no parent of ours has sent it


def _kinds_in(needs: Usage) -> tuple[bool, ...]:
    return bool(needs.model_calls), bool(needs.tool_calls), bool(needs.handoffs)


async def signal_parent(spending: ChildSpending) -> None:
    """Tells the parent of the running workflow what that has spent.

    Raises:
        FailureError: The parent has ended.
    """
    parent = workflow.info().parent
    assert parent is not None
    handle = workflow.get_external_workflow_handle(parent.workflow_id)
    await handle.signal(CHILD_SPENDS, spending.model_dump(mode="json"))
