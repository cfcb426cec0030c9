"""Settles the measured timeouts of a task when it begins, so that every replay has the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from ..pool_limits.latencies import Latencies, settle
from ..saga.spec.catalog import AgentEntry, Catalog, ToolEntry
from ..saga.spec.graph import every_step
from ..saga.spec.snapshot import Snapshot
from ..saga.spec.task_spec import Step
from ..saga.spec.timeout import Calibrated

_E = TypeVar("_E", ToolEntry, AgentEntry)

Measured = dict[str, list[int]]


async def calibrate(snapshot: Snapshot, latencies: Latencies) -> Snapshot:
    """Returns a snapshot whose measured timeouts are settled; itself where it has none.

    Args:
        snapshot: What a task begins with.
        latencies: What the pool has measured.
    """
    catalog, spec = snapshot.catalog, snapshot.spec
    steps = list(every_step(spec.steps)) if spec is not None else []
    limits = [*(step.timeout for step in steps), *(entry.timeout for entry in _entries(catalog))]
    if not any(isinstance(limit, Calibrated) for limit in limits):
        return snapshot
    others = tuple(name for step in steps for name in step.other_models)
    names = {name for entry in _entries(catalog) for name in _names(entry, catalog, others)}
    measured = await latencies.read(names)
    tools = {name: _settled(entry, measured, [name]) for name, entry in catalog.tools.items()}
    agents = {
        name: _settled(entry, measured, _names(entry, catalog, others))
        for name, entry in catalog.agents.items()
    }
    changes: dict[str, object] = {"catalog": catalog.model_copy(update={"tools": tools, "agents": agents})}
    if spec is not None:
        changes["spec"] = spec.model_copy(update={"steps": _steps(spec.steps, measured, sorted(names))})
    return snapshot.model_copy(update=changes)


def _entries(catalog: Catalog) -> Iterator[ToolEntry | AgentEntry]:
    yield from catalog.tools.values()
    yield from catalog.agents.values()


def _names(entry: ToolEntry | AgentEntry, catalog: Catalog, others: Sequence[str]) -> list[str]:
    """Returns what is measured of an entry: by its name, or by those of the models that may play it."""
    if isinstance(entry, AgentEntry) and entry.is_model:
        return [*catalog.models_of(entry), *others]
    return [entry.name]


def _settled(entry: _E, measured: Measured, names: Sequence[str]) -> _E:
    if not isinstance(entry.timeout, Calibrated):
        return entry
    return entry.model_copy(update={"timeout": settle(entry.timeout, measured, names)})


def _steps(steps: Sequence[Step], measured: Measured, names: Sequence[str]) -> tuple[Step, ...]:
    return tuple(_step(step, measured, names) for step in steps)


def _step(step: Step, measured: Measured, names: Sequence[str]) -> Step:
    """Settles a step for whatever it, or what stands in for it, may call."""
    if step.group is not None:
        inside = _steps(step.group.steps, measured, names)
        return step.model_copy(update={"group": step.group.model_copy(update={"steps": inside})})
    if not isinstance(step.timeout, Calibrated):
        return step
    return step.model_copy(update={"timeout": settle(step.timeout, measured, names)})
