"""Arguments of tools may be called as frameworks call their own, or are refused when the tool is made."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from agents.tool_context import ToolContext
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from pydantic_ai import Agent, FunctionToolset
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from counterstep.adapters import langgraph, openai_agents, pydantic_ai
from counterstep.adapters.saga_tool import SagaTool
from counterstep.saga.effect import Effect
from counterstep.saga.own_workflows.agent_calls import AgentCalls
from counterstep.saga.spec.catalog import ToolEntry

NAMES = ("self", "input", "config", "runtime", "state", "store", "ctx", "context", "args", "kwargs")
OTHERS = (
    "arguments",
    "run_manager",
    "tool_call_id",
    "agent",
    "name",
    "schema",
    "model_config",
    "class",
    "a-b",
)


class Calls:
    """Keeps what agents have called a tool with."""

    def __init__(self) -> None:
        self.given: Any = None

    async def use(self, tool: ToolEntry, arguments: Any, agent: str = "", run: object = None) -> str:
        self.given = arguments
        return "done"


def made(name: str) -> tuple[Calls, SagaTool]:
    """A tool with an argument of this name."""
    calls = Calls()
    schema = {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}
    entry = ToolEntry(
        name="desk.do",
        description="Does it.",
        effect=Effect.RETRIABLE,
        parameters=(name,),
        input_schema=schema,
    )
    return calls, SagaTool("do", entry, cast(AgentCalls, calls), object())


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
async def test_an_agent_of_pydantic_ai(name: str) -> None:
    calls, tool = made(name)

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        assert list(info.function_tools[0].parameters_json_schema["properties"]) == [name]
        part = ToolCallPart("do", {name: "this"}) if len(messages) == 1 else TextPart("ok")
        return ModelResponse(parts=[part])

    await Agent(FunctionModel(answer), toolsets=[FunctionToolset([pydantic_ai._tool(tool)])]).run("Do it.")
    assert calls.given == {name: "this"}


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
async def test_an_agent_of_openais_sdk(name: str) -> None:
    calls, tool = made(name)
    context: ToolContext[Any] = ToolContext(None, tool_name="do", tool_call_id="1", tool_arguments="")
    await openai_agents._function_tool(tool).on_invoke_tool(context, json.dumps({name: "this"}))
    assert json.loads(calls.given) == {name: "this"}


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
async def test_a_graph_of_langgraph(name: str) -> None:
    calls, tool = made(name)
    if name in ("self", "config", "run_manager"):
        assert any("which LangChain keeps to itself" in fault for fault in langgraph._faults(tool))
        return
    assert not list(langgraph._faults(tool))
    graph = StateGraph(MessagesState)
    graph.add_node("tools", ToolNode([langgraph._structured_tool(tool)]))
    graph.add_edge(START, "tools")
    graph.add_edge("tools", END)
    asked = AIMessage("", tool_calls=[{"name": "do", "args": {name: "this"}, "id": "1"}])
    await graph.compile().ainvoke({"messages": [asked]})
    assert calls.given == {name: "this"}
