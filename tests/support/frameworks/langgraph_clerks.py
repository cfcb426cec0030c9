"""Workflows with graphs of LangGraph, whose model says what stands in the question."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cache
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from langchain_core.messages import AIMessage, BaseMessage, ToolCall, convert_to_messages
    from langchain_core.runnables import RunnableConfig
    from langgraph.func import entrypoint as an_entrypoint
    from langgraph.func import task
    from langgraph.graph import END, START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode
    from langgraph.types import Command
    from temporalio.langgraph import LangGraphPlugin, entrypoint, graph

    from counterstep import Budget, Saga
    from counterstep.adapters.langgraph import saga_tools
    from counterstep.tests.support.frameworks.turns import ECHO, TOKENS, TOOLS, fault_of


def answer(messages: list[BaseMessage]) -> AIMessage:
    said = sum(message.type == "ai" for message in messages)
    turn = json.loads(str(messages[0].content))[said]
    if turn == ECHO:
        turn = " ".join(str(message.content) for message in messages if message.type == "tool")
    text, calls = (turn, []) if isinstance(turn, str) else ("", turn)
    asked = [ToolCall(name=name, args=args, id=f"{said}.{at}") for at, (name, args) in enumerate(calls)]
    usage = {"input_tokens": TOKENS, "output_tokens": TOKENS, "total_tokens": 2 * TOKENS}
    return AIMessage(text, tool_calls=asked, usage_metadata=usage)


async def agent(state: MessagesState) -> Any:
    """Answers with its message alone or, as a node may, with all that were said; with a command in turn."""
    messages = convert_to_messages(state["messages"])
    said = answer(messages)
    if sum(message.type == "ai" for message in messages) % 2 == 0:
        return {"messages": [said]}
    return Command(update={"messages": [*messages, said]})


async def tools(state: MessagesState, config: RunnableConfig) -> Any:
    return await ToolNode(config["configurable"]["tools"]).ainvoke(state)


async def wants_tools(state: MessagesState) -> str:
    return "tools" if state["messages"][-1].tool_calls else END


ACTIVITY = {"execute_in": "activity", "start_to_close_timeout": timedelta(seconds=30)}


async def think(messages: list[Any]) -> AIMessage:
    return answer(convert_to_messages(messages))


THINK = task(think)


async def act(told: str, config: RunnableConfig) -> str:
    messages: list[Any] = [("user", told)]
    by_name = {tool.name: tool for tool in config["configurable"]["tools"]}
    while True:
        (said,) = convert_to_messages([await THINK(convert_to_messages(messages))])
        messages.append(said)
        if not said.tool_calls:
            return str(said.content)
        messages += [await by_name[call["name"]].ainvoke(call) for call in said.tool_calls]


@workflow.defn
class Clerk:
    @workflow.run
    async def run(self, told: str, limits: dict[str, int] | None = None) -> str:
        async with Saga(budget=Budget.model_validate(limits or {})) as saga:
            given = {"tools": saga_tools(saga, TOOLS)}
            done = (
                await graph("clerk")
                .compile()
                .ainvoke({"messages": [("user", told)]}, {"configurable": given})
            )
        return str(done["messages"][-1].content)


@workflow.defn
class FunctionalClerk:
    @workflow.run
    async def run(self, told: str, limits: dict[str, int] | None = None) -> str:
        async with Saga(budget=Budget.model_validate(limits or {})) as saga:
            given = {"tools": saga_tools(saga, TOOLS)}
            return str(await entrypoint("clerk").ainvoke(told, {"configurable": given}))


@workflow.defn
class BusyClerk:
    @workflow.run
    async def run(self, told: str) -> list[str]:
        async with Saga() as saga:
            given = ({"tools": saga_tools(saga, TOOLS)} for _ in range(4))
            return [str(await entrypoint("clerk").ainvoke(told, {"configurable": tools})) for tools in given]


@workflow.defn
class Faulty:
    @workflow.run
    async def run(self) -> list[str]:
        return await fault_of(saga_tools)


WORKFLOWS = [Clerk, FunctionalClerk, BusyClerk, Faulty]


@cache
def plugin() -> LangGraphPlugin:
    """One for all workers: it changes the graph's nodes and the tasks that it is given."""
    clerk = StateGraph(MessagesState)
    clerk.add_node("agent", agent, metadata=ACTIVITY)
    clerk.add_node("tools", tools, metadata={"execute_in": "workflow"})
    clerk.add_edge(START, "agent")
    clerk.add_conditional_edges("agent", wants_tools)
    clerk.add_edge("tools", "agent")
    return LangGraphPlugin(
        graphs={"clerk": clerk},
        entrypoints={"clerk": an_entrypoint()(act)},
        tasks=[THINK],
        activity_options={"think": ACTIVITY},
    )
