"""Tools of a saga for graphs of LangGraph, which run in a workflow by Temporal's plugin for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from temporalio import workflow

from ..saga.agents.model_names import by_model_name
from ..saga.errors import DefinitionError
from ..saga.limits.usage import CallUsage
from ..saga.own_workflows.model_watch import ModelActivities, ModelUse
from ..saga.own_workflows.saga import Saga
from ..saga.temporal.activity_watch import ActivityInput
from .saga_tool import SagaTool, tools_of

try:
    with workflow.unsafe.imports_passed_through():
        from langchain_core.tools import StructuredTool
except ImportError:
    raise DefinitionError(
        "counterstep.adapters.langgraph needs LangGraph and Temporal's plugin for it: "
        "pip install temporalio-langgraph"
    ) from None

__all__ = ["saga_tools"]

_TAKEN = ("config", "run_manager", "self")
"""What LangChain gives to a tool's function by these names itself."""

_OF_MODELS = ("ai", "AIMessageChunk")


def saga_tools(saga: Saga, actions: Iterable[Any]) -> list[StructuredTool]:
    """Makes tools for a node of a graph, of which each call is recorded by a saga, and undone by it.

    Make them inside of ``async with Saga() as saga:`` in a workflow whose worker has both plugins, in any
    order, and hand them to the graph with its config: ``ainvoke(..., {"configurable": {"tools": tools}})``.
    The node that calls them, e.g. by LangGraph's ``ToolNode``, runs in the workflow (``execute_in``). A call
    that fails is undone, and the model is told why; a call that needs a person's yes waits for it; a call
    with effects that has succeeded is not made again, and the same call again and again ends the run as
    ``LoopDetected``: make tools for each run of the graph, whose calls are looked at together. From here on
    the messages of models that nodes and tasks return from activities count in the saga's budget.

    Args:
        saga: The saga, which is open.
        actions: Tools of the worker's bundles: the functions, or their names, e.g. ``"files.write"``.

    Returns:
        One tool for each, in order.

    Raises:
        DefinitionError: The saga is not open, or something is not such a tool, is a pivot, is given twice,
            has the name of another one, or an argument with a name that LangChain keeps to itself.
    """
    tools = tools_of(saga, actions, _MODELS)
    faults = [fault for tool in tools for fault in _faults(tool)]
    if faults:
        raise DefinitionError("\n".join(faults))
    return [_structured_tool(tool) for tool in tools]


def _faults(tool: SagaTool) -> Iterator[str]:
    name = tool.entry.name
    if tool.name not in by_model_name([tool.entry], ()):
        yield f"{name!r} has the name of another tool, and models are bound to tools by name; rename one"
    for argument in _TAKEN:
        if argument in tool.entry.parameters:
            yield f"{name!r} has an argument {argument!r}, which LangChain keeps to itself; rename it"


def _structured_tool(tool: SagaTool) -> StructuredTool:
    async def invoke(**arguments: Any) -> str:
        return await tool.use(arguments)

    return StructuredTool(
        name=tool.name, description=tool.description, args_schema=tool.parameters, coroutine=invoke
    )


def _is_node(asked: ActivityInput) -> bool:
    return bool(asked.args) and hasattr(asked.args[0], "langgraph_config")


def _read(asked: ActivityInput, result: Any) -> ModelUse | None:
    """Counts the messages of models that a node has returned.

    Those that it was given have lost their usage to `additional_kwargs` on the way. Ids do not tell them:
    LangGraph makes these up, and other ones in a replay.
    """
    if result is None:
        return ModelUse(asked.activity, "", CallUsage(model_calls=1, input_tokens=0, output_tokens=0))
    returned = _messages([result.result, result.langgraph_command])
    said = [one for one in returned if one["type"] in _OF_MODELS and not _was_given(one)]
    if not said:
        return None
    usages = [message.get("usage_metadata") or {} for message in said]
    metadata = said[-1].get("response_metadata") or {}
    usage = CallUsage(
        model_calls=len(said),
        input_tokens=sum(usage.get("input_tokens", 0) for usage in usages),
        output_tokens=sum(usage.get("output_tokens", 0) for usage in usages),
    )
    return ModelUse(asked.activity, str(metadata.get("model_name") or ""), usage)


def _was_given(message: Mapping[str, Any]) -> bool:
    return "usage_metadata" in (message.get("additional_kwargs") or {})


def _messages(value: Any) -> Iterator[Mapping[str, Any]]:
    """Finds LangChain's messages anywhere in JSON."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping) and "type" in one and "content" in one:
            yield one
        elif isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one


_MODELS = ModelActivities(_is_node, _read, told_by_result=True)
