"""The contents of a task's picture: its steps, what they wait for, and how far they have come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from ...saga.spec.catalog import AgentEntry, Catalog
from ...saga.spec.graph import Graph
from ...saga.spec.rules.team_rules import with_teams
from ...saga.spec.task_spec import KINDS, Step, TaskSpec
from ...saga.spec.teams.member import Person
from .team_wiring import Link, wiring


class Node(BaseModel):
    """One step, or somebody who plays in it.

    Attributes:
        id: The step's id, or what a member is called.
        kind: What the step does: one of the `KINDS` of a spec, or ``activity``.
        by: What it calls, or what it waits for.
        needs: The steps that it waits for.
        state: How far it has come; None in a spec.
        inside: The steps inside of a group. In a task that was started they stand beside the group.
        members: Who plays in it together: the members of a team, or an agent with those whom it asks, or to
            whom it hands over.
        links: Who of them tells whom.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: str
    by: str
    needs: tuple[str, ...] = ()
    state: str | None = None
    inside: tuple[Node, ...] = ()
    members: tuple[Node, ...] = ()
    links: tuple[Link, ...] = ()


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


def picture_of_spec(spec: TaskSpec, catalog: Catalog) -> TaskPicture:
    """Returns the picture of a spec; it also shows which steps a step waits for because it reads them.

    Args:
        spec: The task.
        catalog: Who is known, and whom they ask; agents that it lacks are shown by name alone.
    """
    return TaskPicture(task=spec.name, state=None, steps=_nodes(spec.steps, with_teams(spec, catalog)))


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


def _nodes(steps: Sequence[Step], catalog: Catalog) -> tuple[Node, ...]:
    graph = Graph(steps)
    return tuple(_step(step, graph.needs[step.id], catalog) for step in steps)


def _step(step: Step, needs: tuple[str, ...], catalog: Catalog) -> Node:
    if step.group is not None:
        by = "a plan" if step.key else ""
        return Node(id=step.id, kind=step.kind, by=by, needs=needs, inside=_nodes(step.group.steps, catalog))
    agent = catalog.agents.get(step.target or "") if step.kind in ("agent", "team") else None
    node = _player(step.id, agent, catalog, ()) if agent else Node(id=step.id, kind="", by="")
    called = " or ".join(step.one_of) or step.label
    by = f"{called}: {agent.team.pattern}" if agent and agent.team and not step.team else called
    by = f"a plan of {by}" if step.key else by
    return node.model_copy(update={"kind": step.kind, "by": by, "needs": needs})


def _player(id: str, agent: AgentEntry, catalog: Catalog, around: tuple[str, ...]) -> Node:
    """Returns an agent with those who play with it; `around` are those of whom it is a part."""
    if agent.name in around:
        return Node(id=id, kind="agent", by=agent.name)
    around = (*around, agent.name)
    if agent.team is not None:
        seats = {seat.key: seat.member for seat in agent.team.places()}
        members = [_member(key, member, catalog, around) for key, member in seats.items()]
        by = f"{agent.name}: {agent.team.pattern}"
        return Node(id=id, kind="team", by=by, members=tuple(members), links=wiring(agent.team.corners()[-1]))
    talking = {entry.name: entry for entry in catalog.in_conversation(agent).values()}
    asked = [
        (entry.name, tool) for entry in talking.values() for tool in entry.tools if tool in catalog.agents
    ]
    handed = [(entry.name, handoff.to) for entry in talking.values() for handoff in entry.handoffs]
    links = [Link(source=one, target=other, label="asks", both=True) for one, other in asked]
    links += [
        Link(source=one, target=other, label="hands over", maybe=True)
        for one, other in handed
        if other in talking
    ]
    if not links:
        return Node(id=id, kind="agent", by=agent.name)
    others = dict.fromkeys(name for _, name in asked if name not in talking)
    members = [Node(id=name, kind="agent", by="") for name in talking]
    members += [_player(name, catalog.agents[name], catalog, around) for name in others]
    return Node(id=id, kind="agent", by=agent.name, members=tuple(members), links=tuple(links))


def _member(key: str, member: str | Person, catalog: Catalog, around: tuple[str, ...]) -> Node:
    if isinstance(member, Person):
        return Node(id=key, kind="approve", by="a person")
    if member not in catalog.agents:
        return Node(id=key, kind="agent", by=member)
    return _player(key, catalog.agents[member], catalog, around)


def _kind(step: Mapping[str, Any]) -> str:
    return next((kind for kind in (*KINDS, "activity") if kind in step), "activity")


def _beside(name: str, need: str, names: Mapping[str, Any]) -> str:
    """Returns the step that another one waits for: in a group that runs several times, of the same item."""
    path, slash, _ = name.rpartition("/")
    inside = f"{path}{slash}{need}"
    return inside if inside in names else need
