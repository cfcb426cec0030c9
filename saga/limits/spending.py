"""What a task has spent on models, against its budget."""

from __future__ import annotations

from .budget import Budget
from .usage import CallUsage, Usage


class Spending:
    """Counts what one task spends.

    Attributes:
        budget: The most it may spend.
        usage: What the calls that have ended have cost.
    """

    def __init__(self, budget: Budget) -> None:
        """Starts with nothing spent."""
        self.budget = budget
        self.usage = Usage()
        self._calls_under_way = 0

    def refusal(self) -> str | None:
        """Says in one sentence why no model may be asked now; None where one may."""
        return self.budget.exceeded_by(self.usage, self._calls_under_way)

    def reserve_call(self) -> None:
        """Takes one call out of the budget before it is made."""
        self._calls_under_way += 1

    def release_call(self) -> None:
        """Ends what `reserve_call` began."""
        self._calls_under_way -= 1

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
