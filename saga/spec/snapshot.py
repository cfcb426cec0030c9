"""What the first workflow task of a task settles for good."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ..history_format import FORMAT_VERSION
from .approval import ToolApproval
from .catalog import Catalog
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


class SnapshotRequest(BaseModel):
    """What a workflow asks for its snapshot; a hand-written saga asks for nothing and gets the catalog.

    Attributes:
        task: Name of a registered task, or None.
        spec: An inline spec as the caller wrote it, or None.
        input: The task's input.
    """

    model_config = ConfigDict(frozen=True)

    task: str | None = None
    spec: object = None
    input: object = None
