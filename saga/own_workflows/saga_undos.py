"""Undoes calls of a saga because its workflow asks for it."""

from __future__ import annotations

from ..engine.run_context import RunContext
from ..errors import DefinitionError, FailureType
from ..failure import Failed, Failure
from ..ledger.entry import ENDED
from ..names import nearest
from ..temporal.stop_scope import StopScope
from .saga_calls import SagaCalls


class SagaUndos:
    """Undoes single calls of one saga, each with what may build on it."""

    def __init__(self, context: RunContext, calls: SagaCalls) -> None:
        """Prepares to undo calls.

        Args:
            context: What the saga is run with.
            calls: Its calls.
        """
        self._context = context
        self._record = context.record
        self._calls = calls

    def check(self, step: str) -> None:
        """Refuses to undo a step that there is not, or that is past the point of no return.

        Raises:
            DefinitionError: With the reason.
        """
        if step not in self._record.steps:
            raise DefinitionError(f"there is no step {step!r}{nearest(step, self._record.steps)}")
        if self._affected(step) & self._record.protected:
            raise DefinitionError(f"{step!r} is past the point of no return: it stands for good")

    async def undo(self, step: str, scope: StopScope) -> list[str]:
        """Undoes a call, and before it what may build on it.

        A plan that has done it, or builds on it, comes to its end first.

        Args:
            step: The step's id.
            scope: What it is stopped with.

        Returns:
            The steps that are undone, in the order in which that was done.

        Raises:
            Failed: An undo stays stuck, and nobody has resolved it in time.
            Stopped: The scope was stopped.
        """
        self._calls.done -= self._affected(step)  # what begins from now on does not build on it
        async with self._calls.turns.of(self._calls.plans_on(self._affected(step))):
            return await self._undo(step, scope)

    async def _undo(self, step: str, scope: StopScope) -> list[str]:
        await self._calls.outlast(lambda: self._affected(step), step, scope)
        entries = self._affected(step)
        ledger, before = self._record.ledger, len(self._record.undo_order)
        wanted = {entry_id for entry_id in entries if ledger[entry_id].state not in ENDED}
        self._calls.done -= entries
        if not await self._context.rollback.run(f"the workflow undoes {step}", within=entries, scope=scope):
            scope.check(step)
            message = f"an undo of {step!r}, or of what builds on it, is stuck"
            raise Failed(Failure(step=step, type=FailureType.ABANDONED, message=message))
        undone = [entry_id for entry_id in self._record.undo_order[before:] if entry_id in wanted]
        steps = list(dict.fromkeys(self._record.ledger[entry_id].step for entry_id in undone))
        self._record.plans.forget_items(steps)
        return steps

    def _affected(self, step: str) -> set[str]:
        return self._record.ledger.dependents(self._calls.entries(step))
