"""What a task has spent on models, against its budget and its parent's."""

from __future__ import annotations

from .budget import Budget
from .purse import Purse
from .usage import CallUsage, Usage


class Spending:
    """Counts what one task spends, and what its children may.

    Attributes:
        budget: The most it may spend.
        usage: What the calls and children that have ended have cost.
        purse: What its parent lets it spend; None where that has no budget, or there is no parent.
        shares: By child that runs, the most that it may spend in all.
        changes: Grows whenever there may be more room than before.
    """

    def __init__(self, budget: Budget) -> None:
        """Starts with nothing spent."""
        self.budget = budget
        self.usage = Usage()
        self.purse: Purse | None = None
        self.shares: dict[str, Budget] = {}
        self.changes = 0
        self._calls_under_way = 0

    def spend_from(self, purse: Purse) -> None:
        """Lets what is spent from now on count against the parent's budget as well."""
        self.purse = purse
        purse.share(self.total)

    def total(self) -> Usage:
        """Returns what is spent, under way or promised to children."""
        return self._promised().joined(Usage(model_calls=self._calls_under_way))

    def refusal(self) -> str | None:
        """Says in one sentence why no model may be asked now; None where one may."""
        refusal = self.own_refusal()
        if refusal is None and self.purse is not None:
            refusal = self.purse.most.exceeded_by(self.purse.total())
        return refusal

    def own_refusal(self) -> str | None:
        """Says why the task's own budget allows no call now."""
        return self.budget.exceeded_by(self._promised(), self._calls_under_way)

    def left(self) -> Budget:
        """Returns what may still be spent; without any limit where there is none."""
        left = self.budget.left(self.total())
        return left if self.purse is None else left.within(self.purse.left())

    @property
    def has_calls_under_way(self) -> bool:
        """Whether calls have begun and not ended."""
        return self._calls_under_way > 0

    def reserve_call(self) -> None:
        """Takes one call out of the budget before it is made."""
        self._calls_under_way += 1

    def release_call(self) -> None:
        """Ends what `reserve_call` began."""
        self._calls_under_way -= 1
        self.changes += 1

    def add_call(self, model: str, cost: CallUsage) -> bool:
        """Adds what the calls of one activity have cost.

        Returns:
            Whether these were the first ones of a model without a known price.
        """
        known = self.usage.unpriced_calls
        self.usage = self.usage.plus(
            model=model,
            calls=cost.model_calls,
            input_tokens=cost.input_tokens,
            output_tokens=cost.output_tokens,
            usd=cost.usd,
        )
        return cost.usd is None and not known

    def add(self, usage: Usage) -> None:
        """Adds what a child has spent."""
        self.usage = self.usage.joined(usage)

    # --- children

    def allot(self, child: str, own: Budget, calls: int = 1) -> Budget:
        """Promises a child a fair part of what is left, on top of what it has spent.

        Half of it for one child, a third for the second beside it, and so on: there is something left for
        those that come later, and who needs more asks.

        Args:
            child: Its id; what it was promised before must have been taken back.
            own: The child's own budget: it needs no more than that.
            calls: How many model calls it needs at once; so many at least, where there are any.

        Returns:
            The most that it may spend in all.
        """
        left = self.left()  # without what the child has spent
        others = len(self.shares.keys() - {child})
        spent = self.shares.get(child, Budget()).used_up()
        part = left.part(others + 2, calls).over(spent)
        capped = part.within(own)
        # A limit that this task does not have is the child's own affair.
        self.shares[child] = Budget(
            model_calls=None if part.model_calls is None else capped.model_calls,
            tokens=None if part.tokens is None else capped.tokens,
            usd=None if part.usd is None else capped.usd,
        )
        return self.shares[child]

    def take_back(self, child: str, spent: Usage) -> None:
        """Takes back what a child was promised, but for what it has spent."""
        self.shares[child] = Budget(model_calls=spent.model_calls, tokens=spent.tokens, usd=spent.usd)
        self.changes += 1

    def end_share(self, child: str) -> Budget:
        """Takes back all that a child was promised: it has ended. Returns what that was."""
        self.changes += 1
        return self.shares.pop(child, Budget())

    def _promised(self) -> Usage:
        promised = self.usage
        for share in self.shares.values():
            promised = promised.joined(share.used_up())
        return promised
