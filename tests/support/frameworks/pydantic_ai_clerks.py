"""Workflows with agents of pydantic-ai, whose model says what stands in the question."""

from __future__ import annotations

import json
import warnings
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pydantic_ai import Agent
    from pydantic_ai.durable_exec.temporal import PydanticAIPlugin, TemporalDurability
    from pydantic_ai.durable_exec.temporal import TemporalAgent as DeprecatedAgent
    from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import AgentInfo, FunctionModel
    from pydantic_ai.usage import RequestUsage

    from counterstep import Budget, Saga
    from counterstep.adapters.pydantic_ai import saga_tools
    from counterstep.tests.support.frameworks.turns import ECHO, TOKENS, TOOLS, fault_of


async def say(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    (question,) = messages[0].parts
    said = sum(isinstance(message, ModelResponse) for message in messages)
    turn = json.loads(str(question.content))[said]
    if turn == ECHO:
        turn = " ".join(str(part.content) for part in messages[-1].parts)
    parts: list[Any] = [TextPart(turn)] if isinstance(turn, str) else [ToolCallPart(*call) for call in turn]
    return ModelResponse(parts=parts, usage=RequestUsage(input_tokens=TOKENS, output_tokens=TOKENS))


clerk = Agent(FunctionModel(say), name="clerk", capabilities=[TemporalDurability()])
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    old_clerk = DeprecatedAgent(Agent(FunctionModel(say), name="old_clerk"))


@workflow.defn
class Clerk:
    __pydantic_ai_agents__ = (clerk,)

    @workflow.run
    async def run(self, told: str, limits: dict[str, int] | None = None) -> str:
        async with Saga(budget=Budget.model_validate(limits or {})) as saga:
            done = await clerk.run(told, toolsets=[saga_tools(saga, TOOLS)])
        return str(done.output)


@workflow.defn
class OldClerk:
    __pydantic_ai_agents__ = (old_clerk,)

    @workflow.run
    async def run(self, told: str, limits: dict[str, int] | None = None) -> str:
        async with Saga(budget=Budget.model_validate(limits or {})) as saga:
            done = await old_clerk.run(told, toolsets=[saga_tools(saga, TOOLS)])
        return str(done.output)


@workflow.defn
class BusyClerk:
    __pydantic_ai_agents__ = (clerk,)

    @workflow.run
    async def run(self, told: str) -> list[str]:
        async with Saga() as saga:
            tools = saga_tools(saga, TOOLS)
            return [str((await clerk.run(told, toolsets=[tools])).output) for _ in range(4)]


@workflow.defn
class Faulty:
    @workflow.run
    async def run(self) -> list[str]:
        return await fault_of(saga_tools)


WORKFLOWS = [Clerk, OldClerk, BusyClerk, Faulty]


def plugin() -> PydanticAIPlugin:
    return PydanticAIPlugin()
