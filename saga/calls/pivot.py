"""Passing the point of no return, and finding out whether it was passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..failure import Failed, Stopped
from ..people.questions import Check, Questions, fits
from ..record.task_record import TaskRecord
from ..record.task_state import TaskState
from ..spec.catalog import AgentEntry, ToolEntry
from ..temporal.stop_scope import StopScope
from .call import Call, as_json
from .caller import Caller
from .timeouts_and_retries import PIVOT_RETRY


class PivotCaller:
    """Calls the pivot of one task."""

    def __init__(self, record: TaskRecord, caller: Caller, questions: Questions) -> None:
        """Prepares to call the pivot of one task.

        Args:
            record: The task's record.
            caller: Makes the call.
            questions: Asks a person where nobody else knows the outcome.
        """
        self._record = record
        self._caller = caller
        self._questions = questions

    async def call(self, call: Call, target: ToolEntry | AgentEntry | None, scope: StopScope) -> Any:
        """Makes the call; once it was applied, nothing stops the task or undoes what came before.

        A pivot is tried once, or as often as its retry policy says where it may be repeated under its key. A
        failure that does not vouch that nothing happened leaves its outcome unknown: the task needs
        attention, and the update ``resolve`` says ``applied`` or ``not_applied``.

        Args:
            call: The call.
            target: What is called; None for a plain activity.
            scope: The part of the task that it belongs to.

        Returns:
            The pivot's output, as JSON.

        Raises:
            Failed: It certainly was not applied.
            Stopped: The scope was stopped before it was called.
        """
        repeatable = isinstance(target, ToolEntry) and target.idempotent
        call = call if repeatable else replace(call, retry=PIVOT_RETRY)
        try:
            output = as_json(await self._caller.call(call, scope))
        except Stopped:
            raise
        except Failed as failed:
            if failed.not_applied:
                raise
            schema = target.output_schema if target is not None else {}
            action, output = await self.ask(call.step, call.activity, failed, schema)
            if action == "not_applied":
                raise Failed(failed.failure, not_applied=True) from failed.__cause__
        self._record.commit(call.step)
        scope.seal()
        return output

    async def ask(self, step: str, called: str, failed: Failed, schema: Mapping[str, Any]) -> tuple[str, Any]:
        """Asks a person whether a pivot of unknown outcome was applied.

        Args:
            step: The pivot.
            called: What was called.
            failed: Why nobody knows.
            schema: JSON Schema of its output.

        Returns:
            ``applied`` with the output, or ``not_applied``.
        """
        actions: dict[str, Check | None] = {"applied": fits(schema), "not_applied": None}
        text = f"was {called} applied? {failed.failure}"
        # No cancel can answer this: the scope is one that nobody stops.
        answer = await self._questions.ask(
            step, "pivot", text, actions, StopScope(), state=TaskState.NEEDS_ATTENTION
        )
        return answer.action, answer.value
