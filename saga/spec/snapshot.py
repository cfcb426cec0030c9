"""What the first workflow task of a task settles for good."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..history_format import FORMAT_VERSION
from ..limits.cost_bound import ModelFacts
from .approval import ToolApproval
from .catalog import AgentChange, Catalog
from .task_spec import TaskSpec


class Snapshot(BaseModel):
    """The only spec and catalog that a task ever uses, whatever its workers load later.

    Attributes:
        task: The name under which the task was started.
        spec: The spec as it was at the start.
        catalog: The part of the worker's catalog that the spec uses.
        search_attributes: Whether the namespace knows Counterstep's search attributes.
        version: Version of the format.
        engine: By which rules the task is run, see `ENGINE`; 1 where nothing was said of it yet.
        approvals: What is demanded of calls besides what the spec demands; a conversation that goes on in a
            child gets it from its task.
        notify: Whether a webhook is told when the task waits for people.
        run_id: The run that has taken it; after a reset that may be an earlier one.
        pool: What limits of the pool read of the task: its ``type``, and ``task``, the part of its input that
            they name; None where there are no limits.
        limited: Why the task may not begin yet: the ``limit``, and the time ``until`` which it has to wait,
            ISO 8601 or None where waiting does not help; nothing is taken from any limit then.
        models: What is known of its models, by name; empty where no budget needs it.
    """

    model_config = ConfigDict(frozen=True)

    task: str
    spec: TaskSpec | None = None
    catalog: Catalog = Catalog()
    search_attributes: bool = False
    version: int = FORMAT_VERSION
    engine: int = 1
    approvals: tuple[ToolApproval, ...] = ()
    notify: bool = False
    run_id: str = ""
    pool: dict[str, Any] | None = None
    limited: dict[str, Any] | None = None
    models: dict[str, ModelFacts] = Field(default_factory=dict)


class SnapshotRequest(BaseModel):
    """What a workflow asks for its snapshot; a hand-written saga asks for nothing and gets the catalog.

    Attributes:
        task: Name of a registered task, or None.
        spec: An inline spec as the caller wrote it, or None.
        input: The task's input.
        appraise: Whether it needs to know what its models may cost: its parent has a budget for that.
        called: The name of a task whose spec was changed, as a fork does it; empty for the spec's own name.
        agents: What is changed of agents, by their names.
    """

    model_config = ConfigDict(frozen=True)

    task: str | None = None
    spec: object = None
    input: object = None
    appraise: bool = False
    called: str = ""
    agents: dict[str, AgentChange] = Field(default_factory=dict)
