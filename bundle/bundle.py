"""A user's package of tools, agents, compensations, validators, workflows and tasks."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, overload

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

from ..saga.catalog import RETRACT, AgentEntry, CompensationEntry, ToolEntry, ValidatorEntry
from ..saga.duration import parse_duration
from ..saga.effect import Effect
from ..saga.errors import DefinitionError
from ..saga.action import NAME_ATTRIBUTE
from ..saga.spec import STEP_ID, TaskSpec
from .agent import Agent
from .function import Function, is_object_type
from .spec_file import load_spec, parse_spec

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")



class Bundle:
    """What one package offers to tasks; a worker is given the bundles that it serves.

    Attributes:
        name: The first half of every registered name.
        tools: Tool entries by full name.
        agents: Agent entries by full name.
        compensations: Compensation entries by full name.
        validators: Validator entries by full name.
        functions: The Python behind all of these but model agents, by full name.
        tasks: Registered tasks by full name.
        workflows: Temporal workflow classes to be registered as they are.
        activities: Temporal activities to be registered as they are.
    """

    def __init__(self, name: str, *, stand_in: bool = False) -> None:
        """Starts an empty bundle.

        Args:
            name: Lower-case letters, digits and underscores; ``counterstep`` is taken.
            stand_in: Let the stand-in model play the model agents where no model is set: for examples and
                first steps, never for work.

        Raises:
            DefinitionError: The name has another shape.
        """
        if not re.match(STEP_ID, name) or name == "counterstep":
            raise DefinitionError(f"bundle {name!r}: a name looks like [a-z][a-z0-9_]* and is not counterstep")
        self.name = name
        self.stand_in = stand_in
        self.tools: dict[str, ToolEntry] = {}
        self.agents: dict[str, AgentEntry] = {}
        self.compensations: dict[str, CompensationEntry] = {}
        self.validators: dict[str, ValidatorEntry] = {}
        self.functions: dict[str, Function] = {}
        self.tasks: dict[str, TaskSpec] = {}
        self.workflows: list[type] = []
        self.activities: list[Callable[..., Any]] = []

    @overload
    def tool(self, function: F) -> F: ...
    @overload
    def tool(
        self,
        *,
        effect: Effect | str | None = None,
        compensate: str | Callable[..., Any] | None = None,
        before: str | Callable[..., Any] | None = None,
        interruptible: bool = False,
        idempotent: bool = False,
        timeout: timedelta | str | None = None,
    ) -> Callable[[F], F]: ...
    def tool(
        self,
        function: F | None = None,
        *,
        effect: Effect | str | None = None,
        compensate: str | Callable[..., Any] | None = None,
        before: str | Callable[..., Any] | None = None,
        interruptible: bool = False,
        idempotent: bool = False,
        timeout: timedelta | str | None = None,
    ) -> F | Callable[[F], F]:
        """Registers a function, plain or async, that an agent or a step can call.

        Args:
            function: The function, where the decorator stands without parentheses.
            effect: What a call does to the world; may be left out when `compensate` is given.
            compensate: The compensation that undoes a call, by name or function.
            before: A read-only tool with the same arguments; it is called first, and its result reaches
                the compensation as ``Undo.before``.
            interruptible: Let a cancel stop a running call, at the price of an unknown outcome.
            idempotent: The tool may be called again with the same idempotency key.
            timeout: The longest one attempt may take; None for 60 s.

        Returns:
            The function itself, so that it can still be called and tested as Python.

        Raises:
            DefinitionError: No effect is said, effect and compensation contradict each other, the name is
                taken, or a type cannot travel as JSON.
        """

        def register(function: F) -> F:
            name = self._name_of(function, "tool")
            what = f"tool {name}"
            read = Function(function, what)
            self.tools[name] = ToolEntry(
                name=name,
                description=read.description,
                effect=_effect(what, effect, compensate),
                compensate=self._full(compensate),
                before=self._full(before),
                interruptible=interruptible,
                idempotent=idempotent,
                timeout=_timeout(what, timeout),
                parameters=read.parameters,
                input_schema=read.input_schema,
                output_schema=read.output_schema,
            )
            return self._keep(name, read, function)

        return register if function is None else register(function)

    @overload
    def agent(self, function: F) -> F: ...
    @overload
    def agent(
        self,
        *,
        effect: Effect | str | None = None,
        compensate: str | Callable[..., Any] | None = None,
        interruptible: bool = False,
        timeout: timedelta | str | None = None,
    ) -> Callable[[F], F]: ...
    def agent(
        self,
        function: F | None = None,
        *,
        effect: Effect | str | None = None,
        compensate: str | Callable[..., Any] | None = None,
        interruptible: bool = False,
        timeout: timedelta | str | None = None,
    ) -> F | Callable[[F], F]:
        """Registers an agent written in Python.

        Args:
            function: The function, where the decorator stands without parentheses.
            effect: What a call does to the world; may be left out when `compensate` is given.
            compensate: The compensation of a call; None for ``counterstep.retract``.
            interruptible: Let a cancel stop a running call that changes something.
            timeout: The longest one attempt may take; None for 60 s.

        Returns:
            The function itself.

        Raises:
            DefinitionError: As for `tool`.
        """

        def register(function: F) -> F:
            name = self._name_of(function, "agent")
            what = f"agent {name}"
            read = Function(function, what)
            self.agents[name] = AgentEntry(
                name=name,
                description=read.description,
                effect=_effect(what, effect, compensate),
                compensate=self._full(compensate) or RETRACT,
                python=True,
                interruptible=interruptible,
                timeout=_timeout(what, timeout),
                parameters=read.parameters,
                whole_input=read.takes_one_object,
                input_schema=_only_property(read.input_schema) if read.takes_one_object else read.input_schema,
                output_schema=read.output_schema,
            )
            return self._keep(name, read, function)

        return register if function is None else register(function)

    @overload
    def compensation(self, function: F) -> F: ...
    @overload
    def compensation(self, *, timeout: timedelta | str | None = None) -> Callable[[F], F]: ...
    def compensation(
        self, function: F | None = None, *, timeout: timedelta | str | None = None
    ) -> F | Callable[[F], F]:
        """Registers a function that undoes a call; its only parameter is an `Undo`.

        It must succeed as a no-op when there is nothing to undo, and when it is called twice.

        Args:
            function: The function, where the decorator stands without parentheses.
            timeout: The longest one attempt may take; None for 60 s.

        Returns:
            The function itself.

        Raises:
            DefinitionError: It takes anything but one parameter, or the name is taken.
        """

        def register(function: F) -> F:
            name = self._name_of(function, "compensation")
            read = Function(function, f"compensation {name}")
            _expect_one_parameter(read, f"compensation {name}", "undo: Undo[...]")
            self.compensations[name] = CompensationEntry(
                name=name,
                description=read.description,
                timeout=_timeout(f"compensation {name}", timeout),
            )
            return self._keep(name, read, function)

        return register if function is None else register(function)

    @overload
    def validator(self, function: F) -> F: ...
    @overload
    def validator(self, *, fast: bool = False) -> Callable[[F], F]: ...
    def validator(self, function: F | None = None, *, fast: bool = False) -> F | Callable[[F], F]:
        """Registers an independent check: it takes a `Subject` and returns a `Verdict`.

        Args:
            function: The function, where the decorator stands without parentheses.
            fast: Run it as a local activity with a hard limit of 1 s.

        Returns:
            The function itself.

        Raises:
            DefinitionError: It takes anything but one parameter, or the name is taken.
        """

        def register(function: F) -> F:
            name = self._name_of(function, "validator")
            read = Function(function, f"validator {name}")
            _expect_one_parameter(read, f"validator {name}", "subject: Subject")
            self.validators[name] = ValidatorEntry(name=name, description=read.description, fast=fast)
            return self._keep(name, read, function)

        return register if function is None else register(function)

    def add(self, thing: T) -> T:
        """Adds a model agent, a Temporal workflow class or a Temporal activity.

        Args:
            thing: An `Agent`, a class with ``@workflow.defn`` or a function with ``@activity.defn``.

        Returns:
            `thing` itself.

        Raises:
            DefinitionError: It is none of these, its name is taken, or a type cannot travel as JSON.
        """
        if isinstance(thing, Agent):
            self._add_agent(thing)
        elif inspect.isclass(thing) and hasattr(thing, "__temporal_workflow_definition"):
            self.workflows.append(thing)
        elif callable(thing) and hasattr(thing, "__temporal_activity_definition"):
            self.activities.append(thing)
        else:
            raise DefinitionError(
                f"bundle {self.name}: {thing!r} is no Agent, no workflow and no activity; "
                "tools, compensations and validators are registered by their decorators"
            )
        return thing

    def add_task(self, spec: str | Path | TaskSpec | Mapping[str, Any]) -> TaskSpec:
        """Registers a task that clients start by its name, ``BUNDLE.TASK``.

        Args:
            spec: A file (relative paths start at the file that calls this), or the spec itself.

        Returns:
            The spec.

        Raises:
            SpecError: The spec has faults.
            DefinitionError: The name is taken.
        """
        if isinstance(spec, str | Path):
            here = sys._getframe(1).f_globals.get("__file__")
            parsed = load_spec(Path(here).parent / spec if here else Path(spec))
        else:
            parsed = parse_spec(spec) if isinstance(spec, Mapping) else spec
        self.tasks[self._free(parsed.name, "task")] = parsed
        return parsed

    def _add_agent(self, agent: Agent[Any]) -> None:
        name = self._free(agent.name, "agent")
        what = f"agent {name}"
        object.__setattr__(agent, NAME_ATTRIBUTE, name)
        if agent.max_turns < 1:
            raise DefinitionError(f"{what}: max_turns must be at least 1")
        if agent.input is not None and not isinstance(agent.input, dict) and not is_object_type(agent.input):
            raise DefinitionError(f"{what}: its input must be an object: a model, a dataclass or a mapping")
        models = (agent.model,) if isinstance(agent.model, str) else tuple(agent.model or ())
        self.agents[name] = AgentEntry(
            name=name,
            description=agent.description,
            effect=agent.effect or Effect.READ_ONLY,
            compensate=self._full(agent.compensate) or RETRACT,
            models=models,
            instructions=agent.instructions,
            tools=tuple(self._full(tool) or "" for tool in agent.tools),
            max_turns=agent.max_turns,
            many_tools=agent.many_tools,
            stand_in=self.stand_in,
            temperature=agent.temperature,
            timeout=_timeout(what, agent.timeout),
            input_schema=_schema_of(what, "input", agent.input, "validation"),
            output_schema=_schema_of(what, "output", agent.output, "serialization"),
        )

    def _name_of(self, function: Any, what: str) -> str:
        return self._free(getattr(function, "__name__", repr(function)), what)

    def _free(self, name: str, what: str) -> str:
        if not re.match(r"^[A-Za-z_][A-Za-z0-9_]*$", name):
            raise DefinitionError(f"bundle {self.name}: {name!r} is no name for a {what}")
        full = f"{self.name}.{name}"
        groups = {
            "tool": self.tools,
            "agent": self.agents,
            "compensation": self.compensations,
            "validator": self.validators,
            "task": self.tasks,
        }
        for kind, group in groups.items():
            if full in group:
                raise DefinitionError(f"{what} {full}: the name is taken by a {kind}")
        return full

    def _full(self, target: str | Callable[..., Any] | None) -> str | None:
        if target is None:
            return None
        name = target if isinstance(target, str) else getattr(target, NAME_ATTRIBUTE, None)
        if name is None:
            raise DefinitionError(
                f"bundle {self.name}: {getattr(target, '__name__', target)!r} is not registered in a bundle yet"
            )
        return name if "." in name else f"{self.name}.{name}"

    def _keep(self, name: str, read: Function, function: F) -> F:
        self.functions[name] = read
        setattr(function, NAME_ATTRIBUTE, name)
        return function


def _effect(what: str, effect: Effect | str | None, compensate: object) -> Effect:
    try:
        said = None if effect is None else Effect(effect)
    except ValueError:
        raise DefinitionError(
            f"{what}: {effect!r} is no effect; there are {', '.join(Effect)}"
        ) from None
    if compensate is not None and said not in (None, Effect.COMPENSATABLE):
        if what.startswith("agent"):
            return said or Effect.COMPENSATABLE
        raise DefinitionError(f"{what}: it names a compensation, so its effect is compensatable, not {said}")
    if said is None and compensate is None:
        raise DefinitionError(
            f"{what}: its effect is not said; give compensate=\"...\" or effect=Effect.READ_ONLY, "
            "Effect.RETRIABLE or Effect.PIVOT"
        )
    if said is Effect.COMPENSATABLE and compensate is None and what.startswith("tool"):
        raise DefinitionError(f"{what}: it is compensatable but names no compensation; give compensate=\"...\"")
    return said or Effect.COMPENSATABLE


def _timeout(what: str, timeout: timedelta | str | None) -> timedelta | None:
    if timeout is None:
        return None
    try:
        return parse_duration(timeout)
    except ValueError as error:
        raise DefinitionError(f"{what}: timeout: {error}") from None


def _expect_one_parameter(read: Function, what: str, wanted: str) -> None:
    if len(read.parameters) != 1:
        raise DefinitionError(f"{what}: it must take exactly one parameter, ({wanted})")


def _only_property(schema: dict[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = next(iter(schema["properties"].values()))
    if "$defs" in schema:
        inner = {**inner, "$defs": schema["$defs"]}
    return inner


def _schema_of(what: str, part: str, annotation: Any, mode: Any) -> dict[str, Any]:
    if annotation is None:
        return {"type": "object"}
    if isinstance(annotation, dict):
        return annotation
    try:
        return TypeAdapter(annotation).json_schema(mode=mode)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        reason = str(error).split("\n", 1)[0]
        raise DefinitionError(f"{what}: its {part} cannot travel as JSON: {reason}") from None
