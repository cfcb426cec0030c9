"""A workflow that asks a person as a task does."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

ASKS = {
    "step": "book[2]",
    "kind": "escalated",
    "ask": "no table",
    "actions": ["retry", "skip", "supply"],
    "since": "2026-01-01T00:00:00+00:00",
    "update": "decide",
}


@workflow.defn(name="AsksPerson")
class AsksPerson:
    """Has the board and the updates of a task, and keeps what it was told."""

    def __init__(self) -> None:
        self._told: dict[str, Any] | None = None
        self._state = "waiting"

    @workflow.run
    async def run(self, _: Any = None) -> dict[str, Any] | None:
        await workflow.wait_condition(lambda: self._told is not None and workflow.all_handlers_finished())
        return self._told

    @workflow.query
    def board(self) -> dict[str, Any]:
        waits = self._told is None
        return {
            "task": "AsksPerson",
            "task_id": workflow.info().workflow_id,
            "state": "waiting" if waits else "running",
            "waiting_for": [ASKS] if waits else [],
        }

    @workflow.update
    async def decide(self, argument: dict[str, Any]) -> dict[str, Any]:
        await workflow.sleep((argument.get("value") or {}).get("seconds", 0))
        self._told = argument
        return {"decided": argument["action"]}

    @decide.validator
    def _check(self, argument: dict[str, Any]) -> None:
        if argument["action"] == "refuse me":
            raise ApplicationError("that is \x1b[31mnonsense", type="Refused")

    @workflow.update
    async def amend(self, argument: dict[str, Any]) -> dict[str, Any]:
        self._told = argument
        return {"affected": argument["invalidates"]}
