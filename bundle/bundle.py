"""A user's package of tools, agents, compensations, validators, workflows and tasks."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, overload

from ..mcp_client.mcp_server import McpServer
from ..saga.effect import Effect
from ..saga.errors import DefinitionError
from ..saga.history_format import RETRACT
from ..saga.names import NAME_ATTRIBUTE
from ..saga.spec.approval import Approval
from ..saga.spec.catalog import AgentEntry, CompensationEntry, Repeats, ToolEntry, ValidatorEntry
from ..saga.spec.fields import STEP_ID
from ..saga.spec.task_spec import TaskSpec
from ..saga.spec.teams.pattern import Pattern
from ..saga.temporal.sdk_internals import is_activity, is_workflow
from . import declaration
from .agent import Agent
from .declaration import AgentPart, BundlePart
from .events.start_rules import StartRules
from .function import Function
from .spec_file import agent_task, read_task
from .team_declaration import read_agent

_ADDED = "an agent, a team, an McpServer, an HttpTool, a workflow or an activity"

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Bundle(StartRules):
    """What one package offers to tasks; each worker is given the bundles that it serves.

    Attributes:
        name: The first half of every registered name.
        tools: Tool entries by full name.
        agents: Agent entries by full name.
        compensations: Compensation entries by full name.
        validators: Validator entries by full name.
        functions: The Python functions behind all of these except model agents, by full name.
        tasks: Registered tasks by full name.
        workflows: Temporal workflow classes that are registered as they are.
        activities: Temporal activities that are registered as they are.
        mcp_servers: MCP servers whose tools are offered.
        processes: The declarations of agents that are processes, by full name; remotes: of those elsewhere.
    """

    def __init__(self, name: str, *, stand_in: bool = False) -> None:
        """Starts an empty bundle.

        Args:
            name: Lower-case letters, digits and underscores; ``counterstep`` is reserved.
            stand_in: Whether the stand-in model plays the model agents while none is set; for examples only.

        Raises:
            DefinitionError: The name contains something else, or is reserved.
        """
        if not isinstance(name, str) or not re.fullmatch(STEP_ID, name) or name == "counterstep":
            raise DefinitionError(f"bundle {name!r}: names look like [a-z][a-z0-9_]*, and not counterstep")
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
        self.mcp_servers: list[McpServer] = []
        self.processes: dict[str, Any] = {}
        self.remotes: dict[str, Any] = {}

    def tool(
        self,
        function: Callable[..., Any] | None = None,
        *,
        effect: Effect | str | None = None,
        compensate: str | Callable[..., Any] | None = None,
        before: str | Callable[..., Any] | None = None,
        interruptible: bool = False,
        idempotent: bool = False,
        timeout: timedelta | str | Mapping[str, Any] | None = None,
        approval: Approval | Mapping[str, Any] | None = None,
        repeats: Repeats = "return",
        guard: Sequence[Any] = (),
    ) -> Callable[[F], F]:
        """Registers a function, plain or async, that an agent or a step can call.

        Args:
            function: Left out; a bare ``@bundle.tool`` does not state an effect and is refused.
            effect: What a call does to the world; may be left out when `compensate` is given.
            compensate: The compensation that undoes a call, by name or function.
            before: A read-only tool with the same arguments, called first; its result is ``Undo.before``.
            interruptible: Whether a cancel may stop a running call, whose outcome is then unknown.
            idempotent: Whether the tool may be called again with the same idempotency key.
            timeout: The longest time that one attempt may take, also as measured (``p95``); None for 60 s.
            approval: When a call needs a person's yes; a spec may demand more, and never less.
            repeats: What an agent gets that asks for a call with effects which has succeeded in the same step
                already: ``return`` its result, ``refuse`` it, or ``allow`` another call.
            guard: Checks of the arguments before a call: validators of a bundle, CEL rules as text, or
                mappings as in a spec.

        Returns:
            A decorator that returns the function itself, so that it can still be called and tested.

        Raises:
            DefinitionError: No effect is stated, effect and compensation contradict each other, the name is
                taken, or a type cannot be written as JSON.
        """

        def register(function: F) -> F:
            name, what = self._new(function, "tool")
            settled = declaration.read_effect(what, effect, compensate, retracts=False)
            read = Function(function, what)
            entry = ToolEntry(
                name=name,
                description=read.description,
                effect=settled,
                compensate=None
                if compensate is None
                else declaration.read_target(what, compensate, self.name),
                before=None if before is None else declaration.read_target(what, before, self.name),
                interruptible=interruptible,
                idempotent=idempotent,
                timeout=declaration.read_limit(what, timeout),
                approval=declaration.read_approval(what, approval),
                repeats=declaration.read_repeats(what, repeats),
                guard=declaration.read_guard_in(self.name, what, guard),
                parameters=read.parameters,
                input_schema=read.input_schema,
                output_schema=read.output_schema,
            )
            self._keep(name, what, read, function)
            self.tools[name] = entry
            return function

        return register if function is None else register(function)

    def agent(
        self,
        function: Callable[..., Any] | None = None,
        *,
        effect: Effect | str | None = None,
        compensate: str | Callable[..., Any] | None = None,
        interruptible: bool = False,
        timeout: timedelta | str | Mapping[str, Any] | None = None,
        guard: Sequence[Any] = (),
    ) -> Callable[[F], F]:
        """Registers an agent written in Python.

        Args:
            function: Left out; a bare ``@bundle.agent`` does not state an effect and is refused.
            effect: What a call does to the world; may be left out when `compensate` is given.
            compensate: The compensation of a call; None for ``counterstep.retract``.
            interruptible: Whether a cancel may stop a running call that changes something.
            timeout: The longest time that one attempt may take, also as measured (``p95``); None for 60 s.
            guard: Checks of its input before a call, as for `tool`.

        Returns:
            A decorator that returns the function itself.

        Raises:
            DefinitionError: The reasons are those of `tool`.
        """

        def register(function: F) -> F:
            name, what = self._new(function, "agent")
            settled = declaration.read_effect(what, effect, compensate, retracts=True)
            read = Function(function, what)
            entry = AgentEntry(
                name=name,
                description=read.description,
                effect=settled,
                compensate=RETRACT
                if compensate is None
                else declaration.read_target(what, compensate, self.name),
                python=True,
                interruptible=interruptible,
                timeout=declaration.read_limit(what, timeout),
                guard=declaration.read_guard_in(self.name, what, guard),
                parameters=read.parameters,
                whole_input=read.takes_one_object,
                input_schema=read.object_schema if read.takes_one_object else read.input_schema,
                output_schema=read.output_schema,
            )
            self._keep(name, what, read, function)
            self.agents[name] = entry
            return function

        return register if function is None else register(function)

    @overload
    def compensation(self, function: F) -> F: ...
    @overload
    def compensation(
        self, *, timeout: timedelta | str | None = None, retry: Mapping[str, Any] | None = None
    ) -> Callable[[F], F]: ...
    def compensation(
        self,
        function: F | None = None,
        *,
        timeout: timedelta | str | None = None,
        retry: Mapping[str, Any] | None = None,
    ) -> F | Callable[[F], F]:
        """Registers a function that undoes a call; its only parameter is an `Undo`.

        It must do nothing and succeed when there is nothing to undo, and when it is called a second time.

        Args:
            function: The function, if the decorator is used without parentheses.
            timeout: The longest time that one attempt may take; None for 60 s.
            retry: How often it is tried before it counts as stuck and somebody has to `resolve` it, as in a
                spec: ``{"attempts": 4, "initial": "1s", "factor": 2, "max": "1m"}``; None for ten attempts in
                about five minutes.

        Returns:
            The function itself.

        Raises:
            DefinitionError: It takes anything but one `Undo`, a value is wrong, or the name is taken.
        """

        def register(function: F) -> F:
            name, what = self._new(function, "compensation")
            read = Function(function, what, returns=False)
            declaration.expect_undo(what, read)
            entry = CompensationEntry(
                name=name,
                description=read.description,
                timeout=declaration.read_timeout(what, timeout),
                retry=declaration.read_retry(what, retry),
            )
            self._keep(name, what, read, function)
            self.compensations[name] = entry
            return function

        return register if function is None else register(function)

    @overload
    def validator(self, function: F) -> F: ...
    @overload
    def validator(self, *, fast: bool = False) -> Callable[[F], F]: ...
    def validator(self, function: F | None = None, *, fast: bool = False) -> F | Callable[[F], F]:
        """Registers an independent check, which takes a `Subject` and returns a `Verdict`.

        Args:
            function: The function, if the decorator is used without parentheses.
            fast: Whether to run it as a local activity with a hard limit of 1 s.

        Returns:
            The function itself.

        Raises:
            DefinitionError: It takes anything but one `Subject`, does not return a `Verdict`, or the name is
                taken.
        """

        def register(function: F) -> F:
            name, what = self._new(function, "validator")
            read = Function(function, what)
            declaration.expect_verdict(what, read)
            entry = ValidatorEntry(name=name, description=read.description, fast=fast)
            self._keep(name, what, read, function)
            self.validators[name] = entry
            return function

        return register if function is None else register(function)

    def add(self, thing: T) -> T:
        """Adds an agent, a team, an MCP server, a request as a tool, a workflow class or an activity.

        Returns:
            The same.

        Raises:
            DefinitionError: It is not one of these, its name is taken, or a type cannot be written as JSON.
        """
        if isinstance(thing, Agent | Pattern):
            name = self.free_name(thing.name, "agent" if isinstance(thing, Agent) else "team")
            self.agents[name] = read_agent(name, thing, self.name, stand_in=self.stand_in)
            object.__setattr__(thing, NAME_ATTRIBUTE, name)
        elif isinstance(thing, McpServer):
            self.mcp_servers.append(thing)
        elif isinstance(thing, BundlePart):
            thing._register(self)
        elif is_workflow(thing):
            self.workflows.append(thing)
        elif is_activity(thing):
            self.activities.append(thing)
        else:
            message = f"bundle {self.name}: {thing!r} is not {_ADDED}"
            raise DefinitionError(f"{message}; tools, compensations and validators have decorators")
        return thing

    def add_task(
        self, spec: str | Path | TaskSpec | Mapping[str, Any] | Agent[Any] | Pattern | AgentPart
    ) -> TaskSpec:
        """Registers a task, which clients start by its name, ``BUNDLE.TASK``.

        Args:
            spec: A file, with a path relative to the file that calls this; the spec itself; or an agent or a
                team: then the task has its name, its input and its output, and one step, which calls it.

        Returns:
            The spec.

        Raises:
            SpecError: The spec has faults.
            DefinitionError: The name is taken.
        """
        if isinstance(spec, Agent | Pattern | AgentPart):
            added = spec if hasattr(spec, NAME_ATTRIBUTE) else self.add(spec)
            entry = self.agents[getattr(added, NAME_ATTRIBUTE)]
            self.tasks[self.free_name(spec.name, "task", but=self.agents)] = agent_task(entry)
            return self.tasks[entry.name]
        parsed = read_task(self.name, spec, sys._getframe(1).f_globals.get("__file__"))
        return self.tasks.setdefault(self.free_name(parsed.name, "task"), parsed)

    def _new(self, function: Any, kind: str) -> tuple[str, str]:
        """Returns the full name of a function to be registered, and the name that messages use for it."""
        name = self.free_name(getattr(function, "__name__", repr(function)), kind)
        return name, f"{kind} {name}"

    def free_name(self, name: str, kind: str, *, but: object = None) -> str:
        """Returns the full name; raises where it is in use, except among those of `but`."""
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise DefinitionError(f"bundle {self.name}: {name!r} is not a valid {kind} name")
        full = f"{self.name}.{name}"
        for other in ("tool", "agent", "compensation", "validator", "task"):
            group = getattr(self, f"{other}s")
            if full in group and group is not but:
                raise DefinitionError(
                    f"{kind} {full}: the name is taken by {'an' if other == 'agent' else 'a'} {other}"
                )
        return full

    def _keep(self, name: str, what: str, read: Function, function: Any) -> None:
        """Keeps a function under its name, or refuses it; a refused declaration leaves nothing behind."""
        try:
            setattr(function, NAME_ATTRIBUTE, name)
        except AttributeError:
            raise DefinitionError(f"{what}: it is not a plain function; wrap it in one") from None
        self.functions[name] = read
