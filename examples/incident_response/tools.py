"""What the agents of an incident can do, and how it is undone: a real file and real processes are changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ConfigDict

from counterstep import Approval, Bundle, Effect, NotApplied, Undo, current_step

from . import config_file
from .checkout_site import WORKERS, Site, site
from .processes import Health, Running
from .records import Call, Ticket

incident = Bundle("incident")

PAUSE_VARIABLE = "INCIDENT_PAUSE_SECONDS"
"""How long a restart waits between its nodes: so that the demo can kill its worker right there."""

_MOST_WORKERS = 32


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class NodeHealth(_Model):
    """How one node does; ``health`` is null if it does not run."""

    node: str
    draining: bool
    workers: int
    health: Health | None


class Probe(_Model):
    """How the service does: it is healthy if every node that is not drained is, and there is one."""

    healthy: bool
    nodes: list[NodeHealth]


class Change(_Model):
    """What was changed, in one line; a report names it in these words."""

    changed: str


class Difference(_Model):
    """A setting that is not as it was in the last release."""

    setting: str
    now: str
    last_release: str


# --- looking


def probe(where: Site) -> Probe:
    """Asks every node of a site over HTTP how it does."""
    found = []
    for node in where.nodes():
        now, health = node.running(), node.health()
        workers, draining = (now.workers, now.draining) if now else (0, False)
        found.append(NodeHealth(node=node.name, draining=draining, workers=workers, health=health))
    in_use = [node.health for node in found if not node.draining]
    healthy = bool(in_use) and all(health is not None and health.healthy for health in in_use)
    return Probe(healthy=healthy, nodes=found)


@incident.tool(effect=Effect.READ_ONLY, repeats="allow")
def probe_service() -> Probe:
    """Sends a burst of customers to every node, and tells how many were served, refused or timed out."""
    return probe(site(current_step().task_id))


@incident.tool(effect=Effect.READ_ONLY)
def read_metrics(node: str) -> str:
    """Reads what a node has counted since its start."""
    return site(current_step().task_id).node(node).metrics()


@incident.tool(effect=Effect.READ_ONLY)
def compare_releases() -> list[Difference]:
    """Lists the settings that differ from those of the last release, which had no incident."""
    where = site(current_step().task_id)
    before, now = where.settings_of_last_release(), config_file.settings(config_file.read(where.config))
    return [
        Difference(setting=name, now=now.get(name, ""), last_release=before.get(name, ""))
        for name in {**before, **now}
        if now.get(name) != before.get(name)
    ]


# --- the configuration file


@incident.tool(effect=Effect.READ_ONLY)
def read_config(setting: str, value: str) -> str:
    """Reads the configuration file, word for word, before a setting is changed."""
    return config_file.read(site(current_step().task_id).config)


@incident.tool(before="read_config", compensate="restore_config")
def change_config(setting: str, value: str) -> Change:
    """Changes one setting in the configuration file; nodes read it when they are restarted."""
    with _changing() as (where, call):
        old = config_file.read(where.config)
        new = config_file.changed(old, setting, value)
        what = f"{setting}: {config_file.value_of(old, setting)} -> {value}"
        said = where.records.begin(call, what)
        config_file.write(where.config, new)
    return Change(changed=said)


@incident.compensation
def restore_config(undo: Undo[Change]) -> None:
    """Puts the configuration file back, word for word."""
    setting, value = undo.input["setting"], undo.input["value"]
    with _undoing(undo) as (where, call):

        def back() -> None:
            now = config_file.read(where.config)
            config_file.write(where.config, config_file.restored(now, str(undo.before), setting, value))

        where.records.undo(call, back)


# --- the processes


@incident.tool(effect=Effect.READ_ONLY)
def read_nodes(reason: str) -> list[Running | None]:
    """Reads what the nodes run with, before they are restarted."""
    return [node.running() for node in site(current_step().task_id).nodes()]


@incident.tool(effect=Effect.READ_ONLY)
def read_workers(node: str, workers: int) -> Running | None:
    """Reads what a node runs with, before it has other workers."""
    return site(current_step().task_id).node(node).running()


@incident.tool(effect=Effect.READ_ONLY)
def read_draining(node: str) -> Running | None:
    """Reads what a node runs with, before it is drained."""
    return site(current_step().task_id).node(node).running()


@incident.tool(
    before="read_nodes",
    compensate="restore_nodes",
    approval=Approval(
        when="task.environment == 'production'",
        ask="Restart the nodes of checkout in production? ${{ arguments.reason }}",
        deadline="15m",
    ),
)
def restart_service(reason: str) -> Change:
    """Restarts the nodes, one after the other, with the configuration file as it is now."""
    with _changing() as (where, call):
        said = where.records.begin(call, "nodes restarted")
        config = config_file.read(where.config)
        for place, node in enumerate(where.nodes()):
            if place:
                time.sleep(float(os.environ.get(PAUSE_VARIABLE) or 0))
            now = node.running()
            # Another instance for each key: a repeated call finds a node that it has restarted.
            node.run(_adjusted(now, node.name, instance=f"restart-{call.key[:8]}", config=config))
    return Change(changed=said)


@incident.compensation
def restore_nodes(undo: Undo[Change]) -> None:
    """Puts back what ran on each node before: the same settings, also where the file has others by now."""
    with _undoing(undo) as (where, call):

        def back() -> None:
            for node, before in zip(where.nodes(), _each(undo.before), strict=True):
                if before is None:
                    node.stop()
                else:
                    now = node.running()
                    node.run(
                        _adjusted(now or before, node.name, instance=before.instance, config=before.config)
                    )

        where.records.undo(call, back)


@incident.tool(before="read_workers", compensate="restore_workers")
def scale_workers(node: str, workers: int) -> Change:
    """Sets how many customers a node serves at once."""
    if not 1 <= workers <= _MOST_WORKERS:
        raise NotApplied(f"a node has 1 to {_MOST_WORKERS} workers")
    with _changing() as (where, call):
        now = _running(where, node)
        said = where.records.begin(call, f"{node}: {now.workers} -> {workers} workers")
        where.node(node).run(now.model_copy(update={"workers": workers}))
    return Change(changed=said)


@incident.compensation
def restore_workers(undo: Undo[Change]) -> None:
    """Sets the workers of a node back."""
    _put_back(undo, "workers")


@incident.tool(before="read_draining", compensate="restore_draining")
def drain_node(node: str) -> Change:
    """Takes a node out of use: it goes on running, and gets no more customers. The others have to do."""
    with _changing() as (where, call):
        now = _running(where, node)
        said = where.records.begin(call, f"{node}: drained")
        where.node(node).run(now.model_copy(update={"draining": True}))
    return Change(changed=said)


@incident.compensation
def restore_draining(undo: Undo[Change]) -> None:
    """Puts a node into use again, if it was before."""
    _put_back(undo, "draining")


# --- the ticket


@incident.tool(compensate="withdraw_ticket")
def open_ticket(title: str) -> Ticket:
    """Opens a ticket, so that everybody knows of the incident."""
    with _changing() as (where, call):
        return where.records.open_ticket(call, title)


@incident.compensation
def withdraw_ticket(undo: Undo[Ticket]) -> None:
    """Withdraws a ticket."""
    with _undoing(undo) as (where, call):
        where.records.withdraw_ticket(call)


@incident.tool(compensate="reopen_ticket")
def resolve_ticket(ticket_id: int, cause: str) -> None:
    """Resolves a ticket, with the cause of the incident."""
    with _changing() as (where, call):
        where.records.resolve_ticket(call, ticket_id, cause)


@incident.compensation
def reopen_ticket(undo: Undo[None]) -> None:
    """Opens a resolved ticket again."""
    with _undoing(undo) as (where, call):
        where.records.reopen_ticket(call, undo.input["ticket_id"])


# --- what they have in common


@contextmanager
def _changing() -> Iterator[tuple[Site, Call]]:
    step = current_step()
    where = site(step.task_id)
    with where.alone():
        yield where, Call(step.idempotency_key, step.task_id, step.step)


@contextmanager
def _undoing(undo: Undo[Any]) -> Iterator[tuple[Site, Call]]:
    where = site(undo.task_id)
    with where.alone():
        yield where, Call(undo.idempotency_key, undo.task_id, undo.step)


def _put_back(undo: Undo[Any], name: str) -> None:
    """Puts one setting of a running node back; where it has been stopped since, there is nothing to do."""
    with _undoing(undo) as (where, call):

        def back() -> None:
            before = Running.model_validate(undo.before)
            node = where.node(before.node)
            now = node.running()
            if now is not None:
                node.run(now.model_copy(update={name: getattr(before, name)}))

        where.records.undo(call, back)


def _running(where: Site, name: str) -> Running:
    now = where.node(name).running()
    if now is None:
        raise NotApplied(f"{name} does not run")
    return now


def _adjusted(now: Running | None, node: str, *, instance: str, config: str) -> Running:
    """Returns what a node is to run with after its next start: its workers stay."""
    if now is None:
        return Running(node=node, instance=instance, config=config, workers=WORKERS, draining=False)
    return now.model_copy(update={"instance": instance, "config": config})


def _each(before: Any) -> list[Running | None]:
    return [None if found is None else Running.model_validate(found) for found in before]
