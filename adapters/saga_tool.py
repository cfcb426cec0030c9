"""A tool of a saga as any framework can offer it to a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..saga.agents.model_names import by_model_name
from ..saga.errors import DefinitionError
from ..saga.own_workflows.agent_calls import AgentCalls
from ..saga.own_workflows.model_watch import ModelActivities
from ..saga.own_workflows.saga import Saga
from ..saga.spec.catalog import ToolEntry


@dataclass(frozen=True, slots=True)
class SagaTool:
    """One tool, which an agent calls by way of a saga.

    Attributes:
        name: What models call it; providers take no dots.
        entry: What its bundle says of it.
        calls: Makes the calls of the saga's agents.
        toolset: The same for all tools that were made together.
    """

    name: str
    entry: ToolEntry
    calls: AgentCalls
    toolset: object

    @property
    def description(self) -> str:
        """What it does, for models."""
        return self.entry.description or self.entry.name

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of its arguments."""
        return {"type": "object", "properties": {}, **self.entry.input_schema}

    async def use(
        self, arguments: str | Mapping[str, Any] | None, agent: str = "", run: object = None
    ) -> str:
        """Calls it as a model asks for it.

        Args:
            arguments: By name, or as the text that the model has written.
            agent: The name of the agent, for approvals and the board.
            run: The same object for all calls of one run of the agent; None where its tools are for one.

        Returns:
            What the model is told, as JSON: the result, or an object with the key ``error``.

        Raises:
            CallFailed: The call has failed in a way after which nobody can go on, or goes on with a loop; it
                has to end the run.
            asyncio.CancelledError: The workflow was cancelled, or the framework goes on without the call.
        """
        return await self.calls.use(self.entry, arguments, agent, self.toolset if run is None else run)


def tools_of(saga: Saga, actions: Iterable[Any], models: ModelActivities | None = None) -> list[SagaTool]:
    """Makes tools of a saga for the agents of a framework.

    Args:
        saga: The saga, which is open.
        actions: Tools of the worker's bundles: the functions, or their names.
        models: How the framework's model calls are known, which count against the saga's budget from now on;
            None where it has no activities of its own for them.

    Raises:
        DefinitionError: The saga is not open, or something is not such a tool, is a pivot, or is given twice.
    """
    if isinstance(actions, str) or not isinstance(actions, Iterable):
        raise DefinitionError(f"give saga_tools a list of tools, and not {actions!r}")
    calls = saga.made_by_agents()
    entries = calls.tools(actions)
    if models is not None:
        calls.watch_models(models)
    toolset = object()
    return [SagaTool(name, entry, calls, toolset) for name, entry in by_model_name(entries, ()).items()]
