"""Turns YAML or JSON text into a `TaskSpec`, and reports all faults of the document at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..saga.errors import Fault, SpecError
from ..saga.fault_texts import kind_of
from ..saga.spec.approval import approval_fault
from ..saga.spec.catalog import AgentEntry, Catalog
from ..saga.spec.failure_policy import escalation_fault
from ..saga.spec.task_spec import TaskSpec, step_fault
from ..saga.spec.validation import validation_fault
from ..saga.spec.waiting import approve_fault, wait_fault
from .mended_spec import name_faults
from .positions import located
from .shape_faults import known_keys, message_of, path_of
from .yaml_document import MAX_BYTES, json_faults, read_document, read_text

__all__ = ["MAX_BYTES", "load_spec", "parse_spec", "read_document"]

MAX_STEPS = 1000
"""The most steps of a task, those inside groups included: each of them is on its board."""

MOST_FAULTS = 100
"""The most faults that are told at once: nobody reads more."""


def load_spec(path: Path, catalog: Catalog | None = None) -> TaskSpec:
    """Reads a spec from a file.

    Args:
        path: A YAML or JSON file.
        catalog: What the bundles offer; with it, the names in a faulty document are looked up too.

    Returns:
        The spec; names of tools and agents are not looked up yet.

    Raises:
        SpecError: The file cannot be read, or the document has faults, each with its line and column.
    """
    text = read_text(path, "a spec")
    document = read_document(text, str(path))
    try:
        return parse_spec(document, catalog)
    except SpecError as error:
        raise SpecError(located(error.faults, text)) from None


def parse_spec(document: Any, catalog: Catalog | None = None) -> TaskSpec:
    """Turns a document into a spec.

    Args:
        document: The value that YAML or JSON held.
        catalog: What the bundles offer; with it, the names in a faulty document are looked up too.

    Returns:
        The spec; names of tools and agents are not looked up yet.

    Raises:
        SpecError: The document has faults; the error names all of them, each with its path.
    """
    if not isinstance(document, Mapping):
        raise SpecError([Fault("", f"a spec is a mapping with name and steps, not {kind_of(document)}")])
    not_json = list(json_faults(document))
    if not_json:
        raise SpecError(first_faults(not_json))
    steps = _count_steps(document)
    if steps > MAX_STEPS:
        message = f"are {steps}, those inside groups included; a task has at most {MAX_STEPS}"
        raise SpecError([Fault("steps", f"{message}, and for_each runs one of them for many items")])
    try:
        return TaskSpec.model_validate(document)
    except ValidationError as error:
        faults = _faults(error.errors(include_url=False), document)
        for fault in _together(document, ""):
            # A misspelt key already explains why another one seems to be missing.
            inside = [other for path, other in faults.items() if path.startswith(f"{fault.path}.")]
            if not any("no key" in other.message for other in inside):
                faults.setdefault(fault.path, fault)
        for fault in name_faults(document, catalog, known_keys) if catalog is not None else ():
            faults.setdefault(fault.path, fault)
        raise SpecError(first_faults(list(faults.values()))) from None


def read_task(bundle: str, spec: str | Path | TaskSpec | Mapping[str, Any], beside: str | None) -> TaskSpec:
    """Reads the spec of a task that is registered in a bundle.

    Args:
        bundle: The bundle's name.
        spec: A file, or what it would contain.
        beside: The file that a relative path is relative to; None for the working directory.

    Raises:
        SpecError: The spec has faults.
    """
    if isinstance(spec, TaskSpec):
        return spec
    if isinstance(spec, Mapping):
        return in_bundle(bundle, str(spec.get("name", "?")), lambda: parse_spec(spec))
    file = Path(beside).parent / spec if beside else Path(spec)
    return in_bundle(bundle, file.name, lambda: load_spec(file))


def agent_task(agent: AgentEntry) -> TaskSpec:
    """Returns a task that has the name, the input and the output of an agent.

    Args:
        agent: Who does it.

    Raises:
        DefinitionError: Its name cannot be that of a step.
    """
    bundle, _, step = agent.name.partition(".")
    document = {
        "name": step,
        "goal": agent.description,
        "input": agent.input_schema,
        "steps": [{"id": step, "agent": agent.name, "input": "${{ task }}"}],
        "output": f"${{{{ steps.{step}.output }}}}",
    }
    return in_bundle(bundle, step, lambda: parse_spec(document))


def in_bundle(bundle: str, source: str, read: Callable[[], TaskSpec]) -> TaskSpec:
    """Reads a spec of a bundle; its faults name the task that they belong to.

    Args:
        bundle: The bundle's name.
        source: The task's name, or that of its file.
        read: Reads it.
    """
    try:
        return read()
    except SpecError as error:
        where = f"bundle {bundle}, task {source}"
        faults = [
            replace(fault, path=f"{where}: {fault.path}" if fault.path else where) for fault in error.faults
        ]
        raise SpecError(faults) from None


def first_faults(faults: Sequence[Fault]) -> Sequence[Fault]:
    """Returns the faults that are reported, and how many others there are."""
    if len(faults) <= MOST_FAULTS:
        return faults
    return [*faults[:MOST_FAULTS], Fault("", f"... and {len(faults) - MOST_FAULTS} more faults")]


def _count_steps(document: Any) -> int:
    steps = document.get("steps") if isinstance(document, Mapping) else None
    if not isinstance(steps, list | tuple):
        return 0
    return len(steps) + sum(_count_steps(step.get("group")) for step in steps if isinstance(step, Mapping))


def _faults(errors: Sequence[ErrorDetails], document: Any) -> dict[str, Fault]:
    faults: dict[str, Fault] = {}
    for error in errors:
        if error["type"] == "too_short" and error["input"]:
            continue  # pydantic counts only the items that are good, and has named the bad ones
        if error["type"] == "literal_error" and isinstance(error["input"], Mapping):
            continue  # what is wrong inside the mapping is named as well
        path = path_of(error, document)
        faults.setdefault(path, Fault(path, message_of(error)))
    return faults


def _together(document: Any, path: str) -> Iterator[Fault]:
    """Yields faults of keys that do not go together, which pydantic finds only if all values are good."""
    if not isinstance(document, Mapping):
        return
    steps = document.get("steps")
    yield from _approvals_together(document.get("approvals"), path)
    for index, step in enumerate(steps if isinstance(steps, list | tuple) else ()):
        here = f"{path}steps[{index}]"
        if isinstance(step, Mapping):
            message = step_fault(step)
            if message is not None:
                yield Fault(here, message)
            yield from _together(
                {key: step.get(key) for key in ("validate", "guard", "approvals")}, f"{here}."
            )
            yield from _together(step.get("group"), f"{here}.group.")
            for key, fault_of in (("approve", approve_fault), ("wait", wait_fault)):
                keys = step.get(key)
                message = fault_of(keys) if isinstance(keys, Mapping) else None
                if message is not None:
                    yield Fault(f"{here}.{key}", message)
            for key in ("on_failure", "on_reject"):
                yield from _escalations_together(step.get(key), f"{here}.{key}")
    for key in ("validate", "guard"):
        validations = document.get(key)
        for index, validation in enumerate(validations if isinstance(validations, list | tuple) else ()):
            message = validation_fault(validation) if isinstance(validation, Mapping) else None
            if message is not None:
                yield Fault(f"{path}{key}[{index}]", message)


def _escalations_together(trouble: Any, path: str) -> Iterator[Fault]:
    if isinstance(trouble, list | tuple):
        for at, rung in enumerate(trouble):
            yield from _escalations_together(rung, f"{path}[{at}]")
    if not isinstance(trouble, Mapping):
        return
    yield from _escalations_together(trouble.get("then"), f"{path}.then")
    keys = trouble.get("escalate")
    message = escalation_fault(keys) if isinstance(keys, Mapping) else None
    if message is not None:
        yield Fault(f"{path}.escalate", message)


def _approvals_together(approvals: Any, path: str) -> Iterator[Fault]:
    for index, approval in enumerate(approvals if isinstance(approvals, list | tuple) else ()):
        message = approval_fault(approval) if isinstance(approval, Mapping) else None
        if message is not None:
            yield Fault(f"{path}approvals[{index}]", message)
