"""Tools of a saga for agents of the OpenAI Agents SDK that run in a workflow by Temporal's plugin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from temporalio import workflow

from ..saga.errors import DefinitionError
from ..saga.limits.usage import CallUsage
from ..saga.own_workflows.model_watch import ModelActivities, ModelUse
from ..saga.own_workflows.saga import Saga
from ..saga.temporal.activity_watch import ActivityInput
from .saga_tool import SagaTool, tools_of

try:
    with workflow.unsafe.imports_passed_through():
        from agents import FunctionTool
        from agents.tool_context import ToolContext
except ImportError:
    raise DefinitionError(
        "counterstep.adapters.openai_agents needs the OpenAI Agents SDK and Temporal's plugin for it: "
        "pip install temporalio-openai-agents"
    ) from None

__all__ = ["saga_tools"]

_WHOLE = "invoke_model_activity"
_STREAMED = "invoke_model_activity_streaming"


def saga_tools(saga: Saga, actions: Iterable[Any]) -> list[FunctionTool]:
    """Makes tools for an `agents.Agent` of which each call is recorded by a saga, and undone by it.

    Give them to the agent, and to those that it hands over to, inside of ``async with Saga() as saga:`` in a
    workflow whose worker has both plugins, in any order. A call that fails is undone, and the model is told
    why; a call that needs a person's yes waits for it; a call with effects that has succeeded is not made
    again, and the same call again and again ends the run as ``LoopDetected``. From here on the model calls of
    all agents in the workflow count in the saga's budget once they have happened.

    Args:
        saga: The saga, which is open.
        actions: Tools of the worker's bundles: the functions, or their names, e.g. ``"files.write"``.

    Returns:
        One tool for each, in order.

    Raises:
        DefinitionError: The saga is not open, or something is not such a tool, is a pivot, or is given twice.
    """
    return [_function_tool(tool) for tool in tools_of(saga, actions, _MODELS)]


def _function_tool(tool: SagaTool) -> FunctionTool:
    async def invoke(context: ToolContext[Any], arguments: str) -> str:
        agent = context.agent
        return await tool.use(arguments, "" if agent is None else agent.name, run=context.usage)

    return FunctionTool(
        name=tool.name,
        description=tool.description,
        params_json_schema=tool.parameters,
        on_invoke_tool=invoke,
        strict_json_schema=False,  # of what may be left out, strict schemas know nothing
    )


def _read(asked: ActivityInput, result: Any) -> ModelUse:
    model = asked.args[0].get("model_name") or ""
    if isinstance(result, list):  # the events of a stream; the last one has it all
        ended = (event.response for event in reversed(result) if event.type == "response.completed")
        result = next(ended, None)
        model = getattr(result, "model", model)
    usage = getattr(result, "usage", None)
    calls = max(1, getattr(usage, "requests", 1))
    tokens = getattr(usage, "input_tokens", 0), getattr(usage, "output_tokens", 0)
    return ModelUse(
        asked.summary or "",
        model,
        CallUsage(model_calls=calls, input_tokens=tokens[0], output_tokens=tokens[1]),
    )


_MODELS = ModelActivities(lambda asked: asked.activity in (_WHOLE, _STREAMED), _read)
