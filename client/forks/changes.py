"""What is changed in a fork, by paths: ``input.budget``, ``steps.book.input.city``, ``agents.NAME.model``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from ...saga.errors import ExpressionError, Fault
from ...saga.expressions.expression import compile_expression
from ...saga.fault_texts import in_words, kind_of
from ...saga.names import nearest
from ...saga.spec.catalog import AgentChange, Catalog, change_faults
from ...saga.spec.graph import every_step, places
from ...saga.spec.json_schema import fields_of, join, resolve
from ...saga.spec.rules.team_rules import with_teams
from ...saga.spec.task_spec import Step, TaskSpec

ROOTS: Final = ("agents", "goal", "input", "steps")
FIELDS: Final = tuple(sorted(AgentChange.model_fields))

_PATH: Final = re.compile(r"[^.\[\]]+(\.[^.\[\]]+|\[\d+\])*")
_PART: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(slots=True)
class Changed:
    """A task as the changes make it.

    Attributes:
        document: Its spec, as a document.
        input: Its input.
        agents: What is changed of agents.
        faults: What cannot be changed, and why.
    """

    document: dict[str, Any]
    input: Any
    agents: dict[str, AgentChange]
    faults: list[Fault] = field(default_factory=list)


class ChangeReader:
    """Applies changes to one task."""

    def __init__(self, spec: TaskSpec, catalog: Catalog, may_run: Iterable[str]) -> None:
        """Prepares to change a task.

        Args:
            spec: The spec of the first task.
            catalog: The catalog that it used.
            may_run: The steps, of the task itself, that may run in the fork.
        """
        self._spec = spec
        self._catalog = with_teams(spec, catalog)
        running = frozenset(may_run)
        self._steps = {step.id: step for step in every_step(spec.steps)}
        tops = [step for step in spec.steps if step.id in running]
        self._running = {step.id for step in every_step(tops)}
        self._callable = self._called_by(self._steps.values())
        self._asked = self._called_by(every_step(tops))

    def read(
        self,
        changes: Mapping[str, Any],
        document: dict[str, Any],
        task_input: Any,
        agents: Mapping[str, AgentChange],
    ) -> Changed:
        """Applies changes.

        Args:
            changes: Values by their paths.
            document: The spec as a document, which is changed.
            task_input: The input.
            agents: What an earlier fork has changed of agents.

        Returns:
            The changed task, with all faults that were found.
        """
        changed = Changed(document, deepcopy(task_input), dict(agents))
        of_agents: dict[str, dict[str, Any]] = {}
        for path, value in changes.items():
            root = re.split(r"[.\[]", path, maxsplit=1)[0]
            if root == "agents":
                changed.faults += self._agent(path, value, of_agents)
            elif not _PATH.fullmatch(path):
                changed.faults.append(Fault(path, "is not a path; write e.g. input.budget or input.legs[0]"))
            elif root == "steps":
                changed.faults += self._step(path, value, changed.document)
            elif root == "input":
                changed.faults += self._input(path, value, changed)
            elif path == "goal":
                changed.document["goal"] = value
            else:
                near = get_close_matches(root, ROOTS, n=1, cutoff=0.7)
                known = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(ROOTS)}"
                changed.faults.append(Fault(path, f"{root!r} is nothing that a fork can change; {known}"))
        for name, fields in of_agents.items():
            earlier = changed.agents[name].model_dump(exclude_none=True) if name in changed.agents else {}
            try:
                changed.agents[name] = AgentChange.model_validate({**earlier, **fields})
            except ValidationError as error:
                changed.faults += [
                    Fault(f"agents.{name}.{fault['loc'][0]}", in_words(fault))
                    for fault in error.errors(include_url=False)
                ]
        return changed

    # --- the input of the task

    def _input(self, path: str, value: Any, changed: Changed) -> Iterator[Fault]:
        parts = _parts(path)[1:]
        if not parts:
            changed.input = value
            return
        changed.input = {} if changed.input is None else changed.input
        yield from _put(changed.input, parts, value, "input", self._spec.input, self._read_of_task())

    def _read_of_task(self) -> set[str]:
        """Returns the parts of the input that expressions read."""
        found = set()
        for place in (place for step in self._steps.values() for place in places(step)):
            try:
                paths = compile_expression(place.source).paths
            except ExpressionError:
                continue
            found |= {str(path.parts[0]) for path in paths if path.root == "task" and path.parts}
        return found

    # --- the inputs of steps

    def _step(self, path: str, value: Any, document: dict[str, Any]) -> Iterator[Fault]:
        _, *rest = _parts(path)
        name = str(rest[0]) if rest else ""
        step = self._steps.get(name)
        if step is None:
            yield Fault(path, f"there is no step {name!r}{nearest(name, self._steps)}")
            return
        if name not in self._running:
            yield Fault(path, f"{name} is taken over as it was; fork before it to change it")
            return
        if len(rest) < 2 or rest[1] != "input":
            of = str(rest[1]) if len(rest) > 1 else ""
            what = f"{of!r} of a step cannot be changed" if of else "says nothing that is changed"
            yield Fault(path, f"{what}; its input can: steps.{name}.input")
            return
        if step.group is not None or step.approve is not None or step.wait is not None:
            yield Fault(path, f"a step that is {'a group' if step.group else 'a wait'} has no input")
            return
        found = _step_in(document, name)
        if len(rest) == 2:
            found["input"] = value
            return
        holder = found.setdefault("input", {})
        yield from _put(holder, rest[2:], value, f"steps.{name}.input", self._schema_of(step), ())

    def _schema_of(self, step: Step) -> Mapping[str, Any]:
        name = step.target or ""
        entry = self._catalog.agents.get(name) or self._catalog.tools.get(name)
        if entry is not None:
            return entry.input_schema
        return self._catalog.tasks[name].input if name in self._catalog.tasks else {}

    # --- agents

    def _agent(self, path: str, value: Any, of_agents: dict[str, dict[str, Any]]) -> Iterator[Fault]:
        rest = path.partition(".")[2]
        name, _, key = rest.rpartition(".")
        if rest in self._callable or not name:
            yield Fault(path, f"says nothing of the agent that is changed; there are {', '.join(FIELDS)}")
            return
        if name not in self._callable:
            below = name in self._catalog.agents
            child = "is called by a child of this task only, which is a task of its own; fork that one"
            yield Fault(
                path, child if below else f"no agent {name!r} is called{nearest(name, self._callable)}"
            )
            return
        faults = list(change_faults([name], self._catalog.agents))
        if faults:
            yield Fault(path, faults[0].message)
        elif key not in FIELDS:
            yield Fault(path, f"{key!r} of an agent cannot be changed{nearest(key, FIELDS)}")
        elif name not in self._asked:
            users = [step.id for step in self._spec.steps if name in self._called_by(every_step([step]))]
            yield Fault(path, f"{name} is called by {', '.join(users)} only, which is taken over as it was")
        else:
            models = [value] if isinstance(value, str) else value
            if key != "model":
                of_agents.setdefault(name, {})[key] = value
            elif isinstance(models, list) and models and all(isinstance(one, str) and one for one in models):
                of_agents.setdefault(name, {})[key] = models
            else:
                yield Fault(path, "must be the name of a model, or a list of names")

    def _called_by(self, steps: Iterable[Step]) -> set[str]:
        """Returns the agents that steps may call, and those that these may call."""
        names: set[str] = set()
        for step in steps:
            names |= {step.target or "", *step.one_of, *step.fallbacks, *step.rules}
            names |= set(step.team.agents) if step.team is not None else set()
        return set(self._catalog.with_others(sorted(names)))


def _parts(path: str) -> list[str | int]:
    return [name or int(index) for name, index in _PART.findall(path)]


def _step_in(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Finds a step in the document of a spec, where it certainly is."""
    waiting: list[dict[str, Any]] = [*document["steps"]]
    while True:
        step = waiting.pop()
        if step["id"] == name:
            return step
        waiting += (step.get("group") or {}).get("steps", ())


def _put(
    holder: Any,
    parts: list[str | int],
    value: Any,
    where: str,
    schema: Mapping[str, Any],
    known: Iterable[str],
) -> Iterator[Fault]:
    """Changes a value deep inside of another one; what is not there and is not declared is not made.

    Args:
        holder: What it is inside of.
        parts: The way to it.
        value: What it is to be.
        where: How faults name the holder.
        schema: JSON Schema of the holder, as far as it is known.
        known: The keys that may be new in the holder besides those that the schema names.
    """
    part, rest = parts[0], parts[1:]
    if isinstance(holder, list):
        if not isinstance(part, int) or part >= len(holder):
            yield Fault(join(where, [part]), f"{where} is a list of {len(holder)}; write {where}[0]")
            return
        below = resolve(schema).get("items")
    elif isinstance(holder, dict) and isinstance(part, str):
        declared = fields_of(schema) or resolve(schema).get("properties") or {}
        names = {*holder, *declared, *known}
        if part not in names or (rest and part not in holder):
            yield Fault(join(where, [part]), f"{where} has no {part!r}{nearest(part, names)}")
            return
        below = declared.get(part)
    else:
        said = "an expression" if isinstance(holder, str) and "${{" in holder else kind_of(holder)
        yield Fault(join(where, [part]), f"{where} is {said}; change it as a whole")
        return
    if not rest:
        holder[part] = value
        return
    inner = {"$defs": schema.get("$defs", {}), **below} if isinstance(below, Mapping) else {}
    yield from _put(holder[part], rest, value, join(where, [part]), inner, ())
