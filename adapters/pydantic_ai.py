"""Tools of a saga for agents of pydantic-ai, which run in a workflow by its own plugin for Temporal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from temporalio import workflow

from ..saga.errors import DefinitionError
from ..saga.limits.usage import CallUsage
from ..saga.own_workflows.model_watch import ModelActivities, ModelUse
from ..saga.own_workflows.saga import Saga
from ..saga.temporal.activity_watch import ActivityInput
from ..saga.temporal.sdk_internals import decide_patch
from .saga_tool import SagaTool, tools_of

try:
    with workflow.unsafe.imports_passed_through():
        from pydantic_ai import FunctionToolset, RunContext, Tool
except ImportError:
    raise DefinitionError(
        "counterstep.adapters.pydantic_ai needs pydantic-ai with its plugin for Temporal: "
        'pip install "pydantic-ai-slim[temporal]"'
    ) from None

__all__ = ["saga_tools"]

_IN_WORKFLOW = {"temporal": False}
"""By this pydantic-ai lets a tool run in the workflow itself, and be given to a single run."""

_STABLE_IDS = "pydantic_ai:stable_default_run_id"
"""The patch that the plugin asks for when a run begins. Where somebody queries the workflow while the saga
opens, its marker comes to stand in a later workflow task than that in which a replay asks: so it has none."""

_ASKS = re.compile(r"agent__(?P<agent>.+)__model_(request|request_stream|compact_messages)")


def saga_tools(saga: Saga, actions: Iterable[Any]) -> FunctionToolset[Any]:
    """Makes a toolset for one run of an agent, of which each call is recorded by a saga, and undone by it.

    Give it to the run, as ``agent.run(..., toolsets=[saga_tools(saga, [...])])``, inside of
    ``async with Saga() as saga:`` in a workflow whose worker has both plugins, in any order. The agent has
    the capability ``TemporalDurability``, or is a ``TemporalAgent``. A call that fails is undone, and the
    model is told why; a call that needs a person's yes waits for it; a call with effects that has succeeded
    is not made again, and the same call again and again ends the run as ``LoopDetected``. From here on the
    model calls of all agents in the workflow count in the saga's budget once they have happened.

    Args:
        saga: The saga, which is open.
        actions: Tools of the worker's bundles: the functions, or their names, e.g. ``"files.write"``.

    Returns:
        A toolset with one tool for each, in order.

    Raises:
        DefinitionError: The saga is not open, or something is not such a tool, is a pivot, or is given twice.
    """
    decide_patch(_STABLE_IDS)
    return FunctionToolset([_tool(tool) for tool in tools_of(saga, actions, _MODELS)])


def _tool(tool: SagaTool) -> Tool[Any]:
    async def invoke(context: RunContext[Any], /, **arguments: Any) -> str:
        agent = context.agent
        name = "" if agent is None else agent.name or ""
        return await tool.use(arguments, name, run=context.usage)

    made: Tool[Any] = Tool.from_schema(invoke, tool.name, tool.description, tool.parameters, takes_ctx=True)
    made.metadata = dict(_IN_WORKFLOW)
    return made


def _asks_model(asked: ActivityInput) -> bool:
    return _ASKS.fullmatch(asked.activity) is not None


def _read(asked: ActivityInput, result: Any) -> ModelUse:
    found = _ASKS.fullmatch(asked.activity)
    usage = getattr(result, "usage", None)
    tokens = getattr(usage, "input_tokens", 0), getattr(usage, "output_tokens", 0)
    return ModelUse(
        found["agent"] if found else "",
        getattr(result, "model_name", None) or "",
        CallUsage(model_calls=1, input_tokens=tokens[0], output_tokens=tokens[1]),
    )


_MODELS = ModelActivities(_asks_model, _read)
