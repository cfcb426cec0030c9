"""Workflows with agents of the OpenAI Agents SDK, whose model says what stands in the question."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.contrib.workflow_streams import WorkflowStream

with workflow.unsafe.imports_passed_through():
    from agents import Agent, Runner
    from temporalio.openai_agents import ModelActivityParameters, OpenAIAgentsPlugin

    from counterstep import Budget, Saga
    from counterstep.adapters.openai_agents import saga_tools
    from counterstep.tests.support.frameworks.openai_script import ScriptedProvider
    from counterstep.tests.support.frameworks.turns import TOOLS, fault_of


def plugin() -> OpenAIAgentsPlugin:
    params = ModelActivityParameters(start_to_close_timeout=timedelta(seconds=30), streaming_topic="said")
    return OpenAIAgentsPlugin(model_params=params, model_provider=ScriptedProvider())


@workflow.defn
class Clerk:
    @workflow.run
    async def run(self, told: str, limits: dict[str, int] | None = None) -> str:
        async with Saga(budget=Budget.model_validate(limits or {})) as saga:
            clerk = Agent[Any](name="clerk", instructions="Work.", tools=saga_tools(saga, TOOLS))
            done = await Runner.run(clerk, told)
        return str(done.final_output)


@workflow.defn
class StreamingClerk:
    def __init__(self) -> None:
        self.stream = WorkflowStream()

    @workflow.run
    async def run(self, told: str, limits: dict[str, int] | None = None) -> str:
        async with Saga(budget=Budget.model_validate(limits or {})) as saga:
            clerk = Agent[Any](name="clerk", instructions="Work.", tools=saga_tools(saga, TOOLS))
            done = Runner.run_streamed(clerk, told)
            async for _ in done.stream_events():
                pass
        return str(done.final_output)


@workflow.defn
class BusyClerk:
    @workflow.run
    async def run(self, told: str) -> list[str]:
        async with Saga() as saga:
            clerk = Agent[Any](name="clerk", instructions="Work.", tools=saga_tools(saga, TOOLS))
            return [str((await Runner.run(clerk, told)).final_output) for _ in range(4)]


@workflow.defn
class Faulty:
    @workflow.run
    async def run(self) -> list[str]:
        return await fault_of(saga_tools)


WORKFLOWS: list[type] = [Clerk, StreamingClerk, BusyClerk, Faulty]
