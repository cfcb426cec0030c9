"""What the user asks to run: a spec file or a registered task, and its input, checked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...bundle.positions import located_in_file
from ...bundle.spec_file import first_faults, load_spec
from ...saga.errors import Fault, SpecError
from ...saga.history_format import STAND_IN
from ...saga.names import nearest
from ...saga.spec.catalog import Catalog
from ...saga.spec.checker import check_spec
from ...saga.spec.input_reads import check_task_input
from ...saga.spec.skippable import warnings_of
from ...saga.spec.task_spec import Step, TaskSpec
from .values import read_values


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A task to start.

    Attributes:
        name: The name of the registered task or of the spec.
        spec: The spec; None for a registered task that only the workers know.
        is_registered: Whether the task is started by its name.
        input: The task's input as JSON.
    """

    name: str
    spec: TaskSpec | None
    is_registered: bool
    input: Any

    def warnings(self) -> list[Fault]:
        """What fails only in some cases."""
        return warnings_of(self.spec) if self.spec else []

    def agents(self) -> set[str]:
        """The names of all agents that the task may call."""
        return set(_agents(self.spec.steps)) if self.spec else set()


def find_spec(source: str, catalog: Catalog | None) -> tuple[TaskSpec | None, bool]:
    """Finds what SPEC means.

    Args:
        source: A file, or the name of a registered task.
        catalog: What the bundles offer; None if only the workers know that.

    Returns:
        The spec (None for a name without a catalog), and whether it is a registered task.

    Raises:
        SpecError: The file cannot be read or has faults, or no task has this name.
    """
    path = Path(source)
    if path.suffix in (".yaml", ".yml", ".json") or os.sep in source or path.is_file():
        return load_spec(path, catalog), False
    if catalog is None:
        return None, True
    if source not in catalog.tasks:
        message = f"there is no file and no registered task {source!r}{nearest(source, catalog.tasks)}"
        raise SpecError([Fault("", message)])
    return catalog.tasks[source], True


def read_request(
    source: str, pairs: Sequence[str], input_file: str | None, catalog: Catalog | None
) -> TaskRequest:
    """Reads and checks a request.

    Args:
        source: The SPEC argument, as `find_spec` takes it.
        pairs: The ``K=V`` arguments of the command line, which override the file.
        input_file: A JSON or YAML file, ``-`` for stdin, or None.
        catalog: What the bundles offer; with None the workers check the names.

    Returns:
        The request.

    Raises:
        SpecError: The spec or the input has faults; the error names all of them.
    """
    faults: list[Fault] = []
    spec: TaskSpec | None = None
    task_input: Any = None
    is_registered = False
    try:
        spec, is_registered = find_spec(source, catalog)
    except SpecError as error:
        faults += error.faults
    try:
        task_input = read_values(pairs, input_file, option="--input", root="input")
    except SpecError as error:
        faults += error.faults
    else:
        file = None if is_registered else Path(source)
        faults += _faults(spec, task_input, catalog, file) if spec else []
    if faults:
        raise SpecError(first_faults(faults))
    name = source if is_registered or spec is None else spec.name
    return TaskRequest(name=name, spec=spec, is_registered=is_registered, input=task_input)


def played_by_stand_in(request: TaskRequest, catalog: Catalog) -> list[str]:
    """Returns the model agents that the stand-in model plays because no model is set."""
    entries = catalog.with_others(sorted(request.agents())).values()
    return [e.name for e in entries if e.is_model and catalog.models_of(e) == (STAND_IN,)]


def stand_in_notice(request: TaskRequest, catalog: Catalog | None) -> str:
    """Says for whom the stand-in model plays; empty where it plays for nobody, or only the workers know."""
    players = played_by_stand_in(request, catalog) if catalog else []
    if not players:
        return ""
    return (
        f"No model is set (COUNTERSTEP_MODEL): a stand-in plays the model agents. It fills in what "
        f"{', '.join(players)} must answer, and understands nothing."
    )


def _faults(spec: TaskSpec, task_input: Any, catalog: Catalog | None, file: Path | None) -> list[Fault]:
    def located(faults: Sequence[Fault]) -> list[Fault]:
        return list(faults) if file is None else located_in_file(faults, file)

    faults = check_spec(spec, catalog or Catalog())
    of_schema = [fault for fault in faults if fault.path.startswith("input")]
    if catalog is None:
        faults = of_schema  # the other faults are about names, which only the workers know
    if of_schema:
        return located(faults)
    found = check_task_input(spec, task_input)
    # The input itself has no place in the file; the expressions that cannot be evaluated with it have.
    of_input = [fault for fault in found if fault.path.startswith("input")]
    return [*located(faults), *of_input, *located([fault for fault in found if fault not in of_input])]


def _agents(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        if step.agent is not None:
            yield from (step.agent, *step.one_of)
        if step.team is not None:
            yield from step.team.agents
        yield from (*step.fallbacks, *step.rules)
        yield from _agents(step.group.steps if step.group else ())
