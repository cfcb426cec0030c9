"""Much work of one workflow, spread over several workflow tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..expressions.effort import Effort
from ..expressions.expression import compile_expression
from ..expressions.template import render_in_turns
from .rest import Rest

PORTION = 250_000
"""Microseconds of estimated work after which a later workflow task goes on: the SDK takes a workflow that
thinks for 2 s for dead, and starts the same workflow task over and over again."""


class Pace:
    """Has a workflow rest after each portion of its work.

    What is counted is estimated from the values that are handled, so that a replay rests at the same places.

    Attributes:
        effort: Whoever works adds it here.
    """

    def __init__(self, rest: Rest | None) -> None:
        """Begins the first portion; `rest` is None for tasks that were begun when there was none."""
        self.effort = Effort()
        self._rest = rest
        self._turns = asyncio.Lock()
        self._begun = 0
        self._resting: asyncio.Task[bool] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the portion is used up."""
        return self._rest is not None and self.effort.spent - self._begun >= PORTION

    def rests(self) -> bool:
        """Says whether the portion is used up, and begins the rest then; for what cannot wait for it."""
        if self.is_over and (self._resting is None or self._resting.done()):
            self._resting = asyncio.create_task(self.turn())
        return self.is_over

    async def turn(self, microseconds: int = 0) -> bool:
        """Waits until there is room in a portion; whoever has come first goes on first.

        Args:
            microseconds: What is about to be done, as far as nobody else counts it.

        Returns:
            Whether it has waited.
        """
        waits = self.is_over
        if waits and self._rest is not None:
            async with self._turns:
                if self.is_over:
                    await self._rest.take("goes on with what is much at once")
                    self._begun = self.effort.spent
        self.effort.add(microseconds)
        return waits

    async def evaluate(self, source: str, scope: Mapping[str, Any]) -> Any:
        """Evaluates an expression when there is room for it; see `Expression.evaluate`."""
        await self.turn()
        return self.evaluate_now(source, scope)

    def evaluate_now(self, source: str, scope: Mapping[str, Any]) -> Any:
        """Evaluates an expression where nobody can wait; see `Expression.evaluate`."""
        return compile_expression(source).evaluate(scope, self._counted)

    async def render(self, template: Any, scope: Mapping[str, Any], path: str) -> Any:
        """Fills the holes of a template, resting between them where that takes long; see `render`."""
        filling = render_in_turns(template, scope, path, self._counted)
        while True:
            try:
                next(filling)
            except StopIteration as end:
                return end.value
            await self.turn()

    @property
    def _counted(self) -> Effort | None:
        return None if self._rest is None else self.effort
