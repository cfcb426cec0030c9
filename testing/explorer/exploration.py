"""One exploration: which cells there are, and how they are run side by side."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from ...bundle.bundle import Bundle
from ...saga.errors import CounterstepError
from ...saga.spec.catalog import Catalog
from ...saga.spec.checker import check_spec
from ...saga.spec.task_spec import TaskSpec
from .compensation_contract import Case
from .fault import FaultKind, PlannedFault, Point, Role
from .invariants import check_trial, keys_told
from .report import Cell, Colour, Report
from .shrink import variables
from .spec_reduction import Variables
from .trial import Bench, Trial
from .worker_pool import WorkerPool

_WORKERS: Final = 2
_LONGEST_FIRST: Final = (FaultKind.HANG, FaultKind.KILL_BEFORE, FaultKind.KILL_AFTER)

NO_FAULT: Final = "no fault"
LATE_FAULT: Final = "refused at its end"
"""The runs in which no call is broken: one completes, and the output of the other is refused."""

Progress = Callable[[int, int], None]
"""Called with how many runs are done, and of how many."""


class NotExplorable(CounterstepError):
    """There is nothing to break: the task does not complete without faults, or no cell matches `only`."""


@dataclass(frozen=True, slots=True)
class _Points:
    """The points at which a task can be broken, and the two runs that have shown them."""

    clean: Trial
    late: Trial
    all: tuple[Point, ...]


class Exploration:
    """Runs the cells of one task, and those of smaller versions of its spec.

    Attributes:
        seen: The values that the expressions of the task read in its clean run.
    """

    def __init__(
        self,
        spec: TaskSpec,
        bench: Bench,
        nest: WorkerPool,
        catalog: Catalog,
        only: str | None,
        parallel: int,
        command: Sequence[str],
        progress: Progress | None,
    ) -> None:
        """Prepares an exploration; nothing runs yet.

        Args:
            spec: The task.
            bench: What each run is made with.
            nest: The workers.
            catalog: Everything that the bundles offer.
            only: Which cells to run, as `explore` takes it.
            parallel: How many runs go on at once.
            command: The words of the command line that repeats the exploration.
            progress: Is told how far the exploration has come.
        """
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

    async def run(self, bundles: Iterable[Bundle]) -> Report:
        """Runs everything that is wanted.

        Args:
            bundles: The bundles whose compensations are checked.

        Returns:
            The report; its duration is not filled in yet.

        Raises:
            NotExplorable: The task does not complete when nothing is broken, or no cell is wanted.
        """
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
            kind: The kind of fault; None makes two runs: one without a fault, and one that is rolled back at
                its end.
            activity: The activity type.

        Returns:
            The cells; an empty list if the spec has faults or does not complete without a fault.
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
            if point.can(kind) and self._is_wanted(str(PlannedFault(point.id, kind)))
        ]
        return sorted(chosen, key=lambda fault: fault[1] not in _LONGEST_FIRST)

    async def _break(self, faults: Sequence[tuple[Point, FaultKind]]) -> list[Cell]:
        self._progress(0, len(faults))

        async def one(point: Point, kind: FaultKind) -> Cell:
            # Runs that hang, or that wait for a new worker, are idle most of the time.
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
            # The worker dies with everything that it is doing, so no other run may use its process.
            queue = f"{self._queue}-{uuid4().hex[:8]}"
            self._nest.serve(queue)
        try:
            trial = await self._attended(
                self._bench.run(spec, queue, PlannedFault(point.id, kind), fails_late=point.role is Role.UNDO)
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


def _cases(late: Trial, bundles: Iterable[Bundle], catalog: Catalog) -> list[Case]:
    """Returns the calls of the bundles that have a compensation, each with real arguments."""
    bundles = list(bundles)
    names = {name for bundle in bundles for name in bundle.functions}
    servers = tuple(f"{server.name}." for bundle in bundles for server in bundle.mcp_servers)
    names |= {name for name in (*catalog.tools, *catalog.compensations) if name.startswith(servers)}
    undos = {visit.key: visit for visit in late.visits if visit.role is Role.UNDO}
    found: dict[tuple[str, str], Case] = {}
    for call in late.visits:
        undo = undos.get(call.key)
        if call.compensation is None or undo is None or {call.activity, undo.activity} - names:
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
