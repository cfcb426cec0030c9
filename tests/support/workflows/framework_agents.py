"""A workflow with an agent of no framework in particular: its turns are its input."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow

from counterstep import Approval, Budget, Bundle, Effect, Saga
from counterstep.adapters.saga_tool import SagaTool, tools_of
from counterstep.saga.limits.usage import CallUsage
from counterstep.saga.own_workflows.model_watch import ModelActivities, ModelUse

TOKENS = 10
"""What one answer costs."""

SLOW = "slow"
"""As a turn: asks the model about nothing, which takes it two seconds."""

NEXT_RUN = "next run"
"""As a turn: the agent runs once more, with tools that are made anew."""


@activity.defn
def their_model(conversation: str) -> int:
    """Stands for a framework's activity that asks a model; returns the tokens of its answer."""
    time.sleep(2 if conversation == SLOW else 0)
    return TOKENS


def _read(asked: Any, result: Any) -> ModelUse:
    return ModelUse("clerk", "gpt", CallUsage(model_calls=1, input_tokens=0, output_tokens=result or 0))


MODELS = ModelActivities(lambda asked: asked.activity == "their_model", _read)


gates = Bundle("gates")


@gates.tool(effect=Effect.RETRIABLE, approval=Approval(deadline=timedelta(seconds=1), default="fail"))
def open_gate() -> None:
    """Has to be allowed within a second, or nothing goes on."""


@workflow.defn
class FrameworkAgent:
    """Asks its model before each turn, makes the calls of the turn side by side, and tells what it was told.

    A turn is a list of tools with arguments, or a step that the workflow undoes.
    """

    @workflow.run
    async def run(self, turns: list[Any], budget: dict[str, Any] | None = None) -> list[Any]:
        names = [
            "desk.put",
            "desk.look",
            "desk.announce",
            "till.pay",
            "till.tip",
            "till.fine",
            "gates.open_gate",
        ]
        told: list[Any] = []
        async with Saga(budget=Budget.model_validate(budget or {})) as saga:
            tools = {tool.name: tool for tool in tools_of(saga, names, MODELS)}
            for turn in turns:
                await workflow.execute_activity(
                    their_model,
                    SLOW if turn == SLOW else str(told),
                    start_to_close_timeout=timedelta(seconds=30),
                )
                if turn == NEXT_RUN:
                    tools = {tool.name: tool for tool in tools_of(saga, names, MODELS)}
                elif isinstance(turn, list):
                    told.append(await self._turn(tools, turn))
                elif turn != SLOW:
                    await saga.undo(turn)
        return told

    async def _turn(self, tools: dict[str, SagaTool], calls: list[Any]) -> list[str]:
        made = (tools[name].use(given, "clerk") for name, given in calls)
        told = await asyncio.gather(*made, return_exceptions=True)
        for error in told:
            if isinstance(error, BaseException):
                raise RuntimeError("their loop has failed") from error
        return [str(text) for text in told]
