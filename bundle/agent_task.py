"""The task of one step that lets an agent, or a team, do its job."""

from __future__ import annotations

from ..saga.spec.catalog import AgentEntry
from ..saga.spec.task_spec import TaskSpec
from .spec_file import in_bundle, parse_spec


def agent_task(agent: AgentEntry) -> TaskSpec:
    """Returns a task that has the name, the input and the output of an agent.

    Args:
        agent: Who does it.

    Raises:
        DefinitionError: Its name cannot be that of a step.
    """
    bundle, _, step = agent.name.partition(".")
    document = {
        "name": step,
        "goal": agent.description,
        "input": agent.input_schema,
        "steps": [{"id": step, "agent": agent.name, "input": "${{ task }}"}],
        "output": f"${{{{ steps.{step}.output }}}}",
    }
    return in_bundle(bundle, step, lambda: parse_spec(document))
