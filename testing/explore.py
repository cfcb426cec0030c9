"""The fault explorer: runs a task once for every point and every kind of fault, and checks what is left.

For tests::

    report = await explore("order.yaml", bundles=["shop.bundle:shop"], input={"sku": "A1", "quantity": 2})
    assert report.ok, report.text()
"""

from __future__ import annotations

import asyncio
import re
import shlex
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from temporalio.client import Client

from ..bundle.bundle import Bundle
from ..bundle.loading import load_bundles
from ..bundle.registry import Registry
from ..bundle.spec_file import load_spec, parse_spec
from ..saga.catalog import Catalog
from ..saga.check import check_input, check_spec
from ..saga.errors import CounterstepError, SpecError
from ..saga.spec import TaskSpec
from .contract import Case
from .effect_ledger import EffectLedger
from .fault import Fault, FaultKind, Point, Role
from .fault_worker import Nest
from .hook import load_hook
from .invariants import check_trial, keys_told
from .report import Cell, Colour, Report
from .server import temporal_server
from .shrink import shrink_failure, variables
from .smaller import Variables
from .trial import Bench, Trial
from .worker_nest import WorkerNest, worker_nest

PARALLEL: Final = 8
_WORKERS: Final = 2
_LONGEST_FIRST: Final = (FaultKind.HANG, FaultKind.KILL_BEFORE, FaultKind.KILL_AFTER)

NO_FAULT: Final = "no fault"
LATE_FAULT: Final = "refused at its end"
"""The runs in which no call is broken: one completes, and the output of the other is refused."""

Progress = Callable[[int, int], None]
"""Called with how many runs are done, and of how many."""


class NotExplorable(CounterstepError):
    """There is nothing to break: the task does not complete by itself, or no cell fits `only`."""


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

    The worker runs in processes of its own, which are really killed. The tools really run, so point them at
    a database for tests. Timeouts and retries are shortened, and the stand-in model plays model agents.

    Args:
        spec: The task: a spec, its document, or its file.
        bundles: What the workers offer, as ``module:attribute``.
        input: The task's input.
        only: Run only the cells whose ``POINT KIND`` is this; ``*`` stands for anything.
        effects: ``module:function`` of yours, called with the id of a task; it returns a text for each
            effect of that task that stands in your system: the idempotency key where there is one.
        prepare: ``module:function`` of yours, called with the id of a task before the task starts.
        model: litellm name, or several as a fallback chain, for all model agents; the stand-in where empty.
        shrink: Look for the shortest spec that still fails; takes some seconds.
        parallel: Runs at once; as many again that wait.
        command: The words of the command line that repeats all this, for the reproduction of a failure.
        progress: Told how far it is.

    Returns:
        What was found.

    Raises:
        SpecError: Spec or input have faults.
        DefinitionError: A bundle or a function cannot be loaded.
        NotExplorable: The task does not complete when nothing is broken, or `only` fits no cell.
        ServerUnavailable: The Temporal server cannot be started.
    """
    loaded = load_bundles(bundles)
    catalog = Registry(loaded).catalog
    task_input = {} if input is None else input
    parsed = _checked(spec, task_input, catalog)
    models = (model,) if isinstance(model, str) else tuple(model)
    begin = time.monotonic()
    async with _laboratory(bundles, models, effects, prepare, task_input) as (bench, nest):
        explorer = _Explorer(parsed, bench, nest, catalog, only, parallel, command, progress)
        report = await explorer.run(loaded)
        if shrink and not report.ok:
            shrunk = await shrink_failure(report, parsed, explorer.seen, explorer.try_spec)
            report = _with(report, shrunk=shrunk)
    return _with(report, seconds=time.monotonic() - begin)


@asynccontextmanager
async def _laboratory(
    bundles: Sequence[str],
    models: tuple[str, ...],
    effects: str | None,
    prepare: str | None,
    task_input: Any,
) -> AsyncIterator[tuple[Bench, WorkerNest]]:
    with temporal_server() as server, tempfile.TemporaryDirectory(prefix="counterstep-explore-") as name:
        folder = Path(name)
        ledger = EffectLedger.create(folder / "effects.sqlite")
        nest = Nest(
            address=server.address,
            ledger=folder / "effects.sqlite",
            bundles=tuple(bundles),
            models=models,
            effects=effects,
        )
        async with worker_nest(nest, folder / "workers.log") as hand:
            bench = Bench(
                client=await Client.connect(server.address),
                ledger=ledger,
                input=task_input,
                effects=load_hook(effects) if effects else None,
                prepare=load_hook(prepare) if prepare else None,
            )
            yield bench, hand
        ledger.close()


@dataclass(frozen=True, slots=True)
class _Points:
    """Where a task can be broken, and the two runs that told."""

    clean: Trial
    late: Trial
    all: tuple[Point, ...]


class _Explorer:
    def __init__(
        self,
        spec: TaskSpec,
        bench: Bench,
        nest: WorkerNest,
        catalog: Catalog,
        only: str | None,
        parallel: int,
        command: Sequence[str],
        progress: Progress | None,
    ) -> None:
        self._spec = spec
        self._bench = bench
        self._nest = nest
        self._catalog = catalog
        self._wanted = _pattern(only)
        self._gate = asyncio.Semaphore(2 * parallel)
        self._busy = asyncio.Semaphore(parallel)
        self._command = command
        self._progress = progress or (lambda done, total: None)
        self._done = 0
        self._queue = f"explore-{uuid4().hex[:8]}"
        self._told: frozenset[str] = frozenset()
        self.seen: Variables = {}
        """What the expressions of the task have seen in its clean run."""

    async def run(self, bundles: Iterable[Bundle]) -> Report:
        for _ in range(_WORKERS):
            self._nest.serve(self._queue)
        points = await self._find_points(self._spec)
        self.seen = variables(self._bench.input, points.clean.board)
        self._told = keys_told(points.clean)
        cases = [c for c in _cases(points.late, bundles, self._catalog) if self._is_wanted(_label(c))]
        faults = self._faults(points.all)
        if not (faults or cases or self._is_wanted(NO_FAULT) or self._is_wanted(LATE_FAULT)):
            raise NotExplorable("--only fits no cell; run it without --only to see them all")
        findings = await self._nest.check(cases) if cases else []
        cells = self._without_faults(self._spec, points)
        cells += await self._break(faults)
        return Report(task=self._spec.name, points=points.all, cells=tuple(cells), findings=tuple(findings))

    async def try_spec(self, spec: TaskSpec, kind: FaultKind | None, activity: str) -> list[Cell]:
        """Runs another spec with one kind of fault at every call, or undo, of one activity.

        Args:
            spec: A part of the spec.
            kind: The kind; None for a run without a fault, and one that is rolled back at its end.
            activity: The activity type.

        Returns:
            The cells; none where the spec has faults, or does not complete by itself.
        """
        if check_spec(spec, self._catalog):
            return []
        try:
            points = await self._find_points(spec)
        except NotExplorable:
            return []
        if kind is None:
            return self._without_faults(spec, points)
        self._told = keys_told(points.clean)
        places = [point for point in points.all if point.activity == activity and point.can(kind)]
        return [await self._one(spec, point, kind) for point in places[:3]]

    async def _find_points(self, spec: TaskSpec) -> _Points:
        clean = await self._attended(self._bench.run(spec, self._queue))
        if clean.state != "completed":
            reason = clean.board.get("failure") or {}
            told = f": {reason.get('type')}: {reason.get('message')}" if reason else ""
            raise NotExplorable(f"Without any fault the task must complete, and it ended {clean.state}{told}")
        late = await self._attended(self._bench.run(spec, self._queue, fails_late=True))
        calls = [visit for visit in clean.visits if visit.role is not Role.UNDO]
        undos = [visit for visit in late.visits if visit.role is Role.UNDO]
        found = {v.point: Point(v.point, v.activity, v.role) for v in (*calls, *undos)}
        return _Points(clean, late, tuple(found.values()))

    def _faults(self, points: Iterable[Point]) -> list[tuple[Point, FaultKind]]:
        chosen = [
            (point, kind)
            for point in points
            for kind in FaultKind
            if point.can(kind) and self._is_wanted(str(Fault(point.id, kind)))
        ]
        return sorted(chosen, key=lambda fault: fault[1] not in _LONGEST_FIRST)

    async def _break(self, faults: Sequence[tuple[Point, FaultKind]]) -> list[Cell]:
        self._progress(0, len(faults))

        async def one(point: Point, kind: FaultKind) -> Cell:
            # Those that hang, or wait for a new worker, do nothing for most of their time.
            waits = nullcontext() if kind in _LONGEST_FIRST else self._busy
            async with waits, self._gate:
                cell = await self._one(self._spec, point, kind)
            self._done += 1
            self._progress(self._done, len(faults))
            return cell

        running = [asyncio.create_task(one(point, kind)) for point, kind in faults]
        try:
            return list(await asyncio.gather(*running))
        finally:
            for task in running:
                task.cancel()

    async def _one(self, spec: TaskSpec, point: Point, kind: FaultKind) -> Cell:
        cell = await self._try(spec, point, kind)
        return await self._try(spec, point, kind) if cell.colour is Colour.MISSED else cell

    async def _try(self, spec: TaskSpec, point: Point, kind: FaultKind) -> Cell:
        queue = self._queue
        if kind.kills:
            # The worker dies, and with it all that it does: nobody else may be in its process.
            queue = f"{self._queue}-{uuid4().hex[:8]}"
            self._nest.serve(queue)
        try:
            trial = await self._attended(
                self._bench.run(spec, queue, Fault(point.id, kind), fails_late=point.role is Role.UNDO)
            )
        finally:
            if queue != self._queue:
                self._nest.end(queue)
        return self._cell(spec, trial, str(trial.fault), point, kind)

    def _without_faults(self, spec: TaskSpec, points: _Points) -> list[Cell]:
        return [self._cell(spec, points.clean, NO_FAULT), self._cell(spec, points.late, LATE_FAULT)]

    async def _attended(self, running: Any) -> Trial:
        """Awaits a run, or the end of the workers."""
        trial: asyncio.Future[Any] = asyncio.ensure_future(running)
        try:
            await asyncio.wait({trial, self._nest.lost}, return_when=asyncio.FIRST_COMPLETED)
            if self._nest.lost.done():
                self._nest.lost.result()
            result: Trial = trial.result()
            return result
        finally:
            trial.cancel()

    def _cell(
        self,
        spec: TaskSpec,
        trial: Trial,
        label: str,
        point: Point | None = None,
        kind: FaultKind | None = None,
    ) -> Cell:
        words = [*self._command, "--only", label] if self._command else []
        return Cell(
            point=point,
            kind=kind,
            state=trial.state,
            violations=tuple(check_trial(trial, spec, self._told)),
            missed=not trial.was_broken,
            label=label,
            reproduction=shlex.join(words) if words else f"explore(..., only={label!r})",
        )

    def _is_wanted(self, label: str) -> bool:
        return self._wanted.fullmatch(label) is not None


def _checked(spec: TaskSpec | Mapping[str, Any] | str | Path, task_input: Any, catalog: Catalog) -> TaskSpec:
    if isinstance(spec, str | Path):
        parsed = load_spec(Path(spec))
    else:
        parsed = spec if isinstance(spec, TaskSpec) else parse_spec(spec)
    faults = [*check_spec(parsed, catalog), *check_input(parsed.input, task_input)]
    if faults:
        raise SpecError(faults)
    return parsed


def _cases(late: Trial, bundles: Iterable[Bundle], catalog: Catalog) -> list[Case]:
    """Pairs of call and compensation that the bundles themselves offer, with real arguments."""
    functions = {name for bundle in bundles for name in bundle.functions}
    undos = {visit.key: visit for visit in late.visits if visit.role is Role.UNDO}
    found: dict[tuple[str, str], Case] = {}
    for call in late.visits:
        undo = undos.get(call.key)
        if call.compensation is None or undo is None or {call.activity, undo.activity} - functions:
            continue
        tool = catalog.tools.get(call.activity)
        found.setdefault(
            (call.activity, undo.activity),
            Case(
                call=call.activity,
                compensation=undo.activity,
                step=call.step,
                arguments=undo.input["input"],
                reads=tool.before if tool else None,
            ),
        )
    return list(found.values())


def _label(case: Case) -> str:
    return f"{case.compensation} contract"


def _pattern(only: str | None) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, (only or "*").split("*"))))


def _with(report: Report, **changes: Any) -> Report:
    return replace(report, **changes)
