"""The fault explorer: runs a task once for every point and every kind of fault, and checks what is left.

For tests::

    report = await explore("order.yaml", bundles=["shop.bundle:shop"], input={"sku": "A1", "quantity": 2})
    assert report.ok, report.text()
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from temporalio.client import Client

from ..bundle.loading import load_bundles
from ..bundle.registry import Registry
from ..bundle.spec_file import load_spec, parse_spec
from ..saga.errors import SpecError
from ..saga.history_format import STAND_IN
from ..saga.spec.catalog import Catalog
from ..saga.spec.checker import check_input, check_spec
from ..saga.spec.graph import every_step
from ..saga.spec.task_spec import TaskSpec
from .explorer.effect_ledger import EffectLedger
from .explorer.exploration import Exploration, NotExplorable, Progress
from .explorer.fault_worker import WorkerSetup
from .explorer.quick_calls import judges_in
from .explorer.report import Report
from .explorer.shrink import shrink_failure
from .explorer.trial import Bench
from .explorer.user_hook import load_hook
from .explorer.worker_pool import WorkerPool, worker_nest
from .server import temporal_server

__all__ = ["NotExplorable", "Report", "explore"]

PARALLEL: Final = 8


async def explore(
    spec: TaskSpec | Mapping[str, Any] | str | Path,
    *,
    bundles: Sequence[str],
    input: Any = None,
    only: str | None = None,
    effects: str | None = None,
    prepare: str | None = None,
    model: str | Sequence[str] = (),
    shrink: bool = True,
    parallel: int = PARALLEL,
    command: Sequence[str] = (),
    progress: Progress | None = None,
) -> Report:
    """Breaks a task in every place and in every way, one fault a run, on a Temporal server of its own.

    The workers run in processes of their own, which are really killed. The tools really run, so point them at
    a database for tests. Timeouts and retries are shortened, and the stand-in model plays the model agents.

    Args:
        spec: The task: a spec, its document, or its file.
        bundles: What the workers offer, as ``module:attribute``.
        input: The task's input.
        only: A pattern; only cells whose ``POINT KIND`` matches it are run, and ``*`` stands for anything.
        effects: A function of yours as ``module:function``. It is called with the id of a task and returns a
            text for each effect of that task that stands in your system: the idempotency key if there is one.
        prepare: A function of yours as ``module:function``; it is called with the id of each task before the
            task starts.
        model: A litellm name, or several as a fallback chain, for all model agents; empty for the stand-in,
            which plays those that judge others in a team in any case.
        shrink: Whether to look for the shortest spec that still fails, which takes some seconds.
        parallel: How many runs go on at once; as many again may be waiting.
        command: The words of the command line that repeats all this, for the reproduction of a failure.
        progress: Is told how far the exploration has come.

    Returns:
        The report.

    Raises:
        SpecError: The spec or the input has faults.
        DefinitionError: A bundle or a function cannot be loaded.
        NotExplorable: The task does not complete when nothing is broken, it waits for events, or no cell
            matches `only`.
        ServerUnavailable: The Temporal server cannot be started.
    """
    loaded = load_bundles(bundles)
    world = load_hook(effects) if effects else None
    first = load_hook(prepare) if prepare else None
    catalog = Registry(loaded, default_models=(STAND_IN,)).catalog  # somebody plays every agent here
    task_input = {} if input is None else input
    parsed = _checked(spec, task_input, catalog)
    waits = [step.id for step in every_step(parsed.steps) if step.wait is not None and step.wait.event]
    if waits:
        raise NotExplorable(f"{', '.join(waits)} waits for an event, and the explorer sends none.")
    models = (model,) if isinstance(model, str) else tuple(model)
    begin = time.monotonic()
    setup = WorkerSetup(
        bundles=tuple(bundles), models=models, judges=_judges(parsed, catalog), effects=effects
    )
    async with _laboratory(setup) as (address, ledger, nest):
        client = await Client.connect(address)
        bench = Bench(client, ledger, task_input, effects=world, prepare=first)
        explorer = Exploration(parsed, bench, nest, catalog, only, parallel, command, progress)
        report = await explorer.run(loaded)
        if shrink and not report.ok:
            shrunk = await shrink_failure(report, parsed, explorer.seen, explorer.try_spec)
            report = replace(report, shrunk=shrunk)
    return replace(report, seconds=time.monotonic() - begin)


@asynccontextmanager
async def _laboratory(setup: WorkerSetup) -> AsyncIterator[tuple[str, EffectLedger, WorkerPool]]:
    """Starts a server, the file that the workers write, and the workers."""
    with temporal_server() as server, tempfile.TemporaryDirectory(prefix="counterstep-explore-") as name:
        path = Path(name) / "effects.sqlite"
        with closing(EffectLedger.create(path)) as ledger:
            here = setup.model_copy(update={"address": server.address, "ledger": path})
            async with worker_nest(here, Path(name) / "workers.log") as hand:
                yield server.address, ledger, hand


def _judges(spec: TaskSpec, catalog: Catalog) -> tuple[str, ...]:
    """Returns the agents that judge others in a team, and whom these ask."""
    steps = [
        *every_step(spec.steps),
        *(step for task in catalog.tasks.values() for step in every_step(task.steps)),
    ]
    teams = [entry.team for entry in catalog.agents.values()] + [step.team for step in steps]
    return tuple(catalog.with_others(judges_in(team for team in teams if team is not None)))


def _checked(spec: TaskSpec | Mapping[str, Any] | str | Path, task_input: Any, catalog: Catalog) -> TaskSpec:
    if isinstance(spec, str | Path):
        parsed = load_spec(Path(spec))
    else:
        parsed = spec if isinstance(spec, TaskSpec) else parse_spec(spec)
    faults = [*check_spec(parsed, catalog), *check_input(parsed.input, task_input)]
    if faults:
        raise SpecError(faults)
    return parsed
