"""The contents of a task's picture: its steps, what they wait for, and how far they have come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from ...saga.spec.graph import Graph
from ...saga.spec.task_spec import KINDS, Step, TaskSpec


class Node(BaseModel):
    """One step.

    Attributes:
        id: The step's id.
        kind: What the step does: one of the `KINDS` of a spec, or ``activity``.
        by: What it calls, or what it waits for.
        needs: The steps that it waits for.
        state: How far it has come; None in a spec.
        inside: The steps inside of a group. In a task that was started they stand beside the group.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: str
    by: str
    needs: tuple[str, ...] = ()
    state: str | None = None
    inside: tuple[Node, ...] = ()


class TaskPicture(BaseModel):
    """A task.

    Attributes:
        task: Its name.
        state: Its state; None for a spec.
        steps: Its steps.
    """

    model_config = ConfigDict(frozen=True)

    task: str
    state: str | None
    steps: tuple[Node, ...]


def picture_of_spec(spec: TaskSpec) -> TaskPicture:
    """Returns the picture of a spec; it also shows which steps a step waits for because it reads them."""
    return TaskPicture(task=spec.name, state=None, steps=_nodes(spec.steps))


def picture_of_board(board: Mapping[str, Any]) -> TaskPicture:
    """Returns the picture of a board."""
    names = board["steps"]
    steps = [
        Node(
            id=name,
            kind=_kind(step),
            by="" if step.get("group") else str(step.get(_kind(step), "")),
            needs=tuple(_beside(name, need, names) for need in step.get("needs", ())),
            state=step["state"],
        )
        for name, step in names.items()
    ]
    return TaskPicture(task=board["task"], state=board["state"], steps=tuple(steps))


def _nodes(steps: Sequence[Step]) -> tuple[Node, ...]:
    graph = Graph(steps)
    return tuple(
        Node(
            id=step.id,
            kind=step.kind,
            by="" if step.group else step.label,
            needs=graph.needs[step.id],
            inside=_nodes(step.group.steps) if step.group else (),
        )
        for step in steps
    )


def _kind(step: Mapping[str, Any]) -> str:
    return next((kind for kind in (*KINDS, "activity") if kind in step), "activity")


def _beside(name: str, need: str, names: Mapping[str, Any]) -> str:
    """Returns the step that another one waits for: in a group that runs several times, of the same item."""
    path, slash, _ = name.rpartition("/")
    inside = f"{path}{slash}{need}"
    return inside if inside in names else need
