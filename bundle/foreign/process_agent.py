"""An agent that is a process: a program of any framework, in any language."""

from __future__ import annotations

import os
import shutil
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from ...mcp_client.worker_variables import env_faults, filled, named_in, value_of
from ...saga.effect import Effect
from ...saga.errors import DefinitionError
from ...saga.history_format import RETRACT
from ...saga.limits.budget import Budget
from ...saga.limits.limit_policies import OnLimit
from ...saga.names import NAME_ATTRIBUTE
from ...saga.spec.approval import Asking
from ...saga.spec.catalog import AgentEntry
from ...saga.spec.process_terms import Divergence, ProcessTerms
from ..declaration import (
    AgentPart,
    read_asking,
    read_budget,
    read_effect,
    read_guard_in,
    read_limit,
    read_models,
    read_schema,
    read_target,
    read_tools,
)

RESERVED: Final = (
    "OPENAI_BASE_URL",
    "OPENAI_API_BASE",
    "OPENAI_API_KEY",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_API_KEY",
)
"""Variables by which the process finds the gateway, besides all that begin with ``COUNTERSTEP_``."""

LONGEST_RUN: Final = timedelta(hours=1)
"""How long a process may run of which nothing else is said."""

_TEXT: Any = str


@dataclass(frozen=True, kw_only=True, eq=False)
class ProcessAgent(AgentPart):
    """An agent like any other that is a process: a program of any framework, or a command-line agent.

    The worker starts the command, and gives it addresses on 127.0.0.1 for models (OpenAI's chat completions
    and responses, Anthropic's messages) and for tools (MCP), with a token that counts for this run alone.
    Each of its calls is recorded first; tool calls can be undone, model calls are within the budget, and a
    process that has to be started again gets the recorded answers. What it does by itself (files, shell,
    network) is outside of that.

    Attributes:
        name: Its name in the bundle.
        description: What it does, in one sentence.
        command: The program and its arguments, which the worker starts without a shell.
        tools: The only tools that it may call, as for an `Agent`.
        output: The type of its answer: text is the last line that it prints; anything else is that line as
            JSON, or the JSON in the file that ``COUNTERSTEP_OUTPUT`` names.
        input: The type of its input, which it finds as JSON in ``COUNTERSTEP_INPUT``; None for any object.
        models: The litellm names of the only models that it may ask; None for the worker's default. It may
            name them without the provider.
        env: More environment variables; ``env:VARIABLE`` in a value stands for one of the worker's. Of the
            worker's it gets ``PATH`` and such, and no other.
        cwd: Its working directory; None for a fresh one that is the same whenever it is started again.
        on_divergence: What follows when it was started again and asks otherwise than before: what it did and
            has not asked for again is undone when it has answered (``keep``), or at once (``undo``), or the
            agent fails (``fail``).
        loose_match: Whether a request counts as a recorded one that differs from it in numbers, ids and paths
            only, and from no other. The log says how often that was so.
        effect: What its tools together do to the world; None derives it from the tools.
        compensate: The compensation of the whole call, which runs after the undos of its tool calls.
        timeout: How long one process may run, without the time that it is away for a person; None for 1 h.
        may_ask: Whether it may ask a person, by the tool ``ask_person``; see `Agent`.
        guard: Checks of its input before it is started; see `Agent`.
        on_limit: What follows when a limit is reached; ``fail``, or ``wait`` where that is one of the pool.
        budget: The most that one of its jobs may spend.
    """

    name: str
    description: str
    command: Sequence[str]
    tools: Sequence[Any] = ()
    output: Any = _TEXT
    input: Any = None
    models: str | Sequence[str] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    on_divergence: Divergence = "keep"
    loose_match: bool = False
    effect: Effect | None = None
    compensate: Any = None
    timeout: timedelta | str | None = None
    may_ask: bool | Asking = False
    guard: Sequence[Any] = ()
    on_limit: OnLimit | None = None
    budget: Budget | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The variables of `env`, with the values of the worker's."""
        return {name: filled(value) for name, value in self.env.items()}

    @property
    def secrets(self) -> list[str]:
        """The values of the worker's variables that it uses: for nobody's eyes."""
        return [value for name in named_in(self.env.values()) if (value := value_of(name))]

    def missing(self) -> Iterator[str]:
        """Yields what it needs and this machine does not have: its program, its folder, variables."""
        if self.cwd is not None and not Path(self.cwd).is_dir():
            yield f"cwd: there is no folder {self.cwd!r}"
        elif not self._has_program():
            yield f"command: there is no program {self.command[0]!r} here that may be run"
        for name in named_in(self.env.values()):
            if not value_of(name):
                yield f"env: {name} is not set in the worker's environment"

    def _has_program(self) -> bool:
        program = self.command[0]
        if os.path.dirname(program) and not os.path.isabs(program):
            program = os.path.join(self.cwd or os.curdir, program)
        return shutil.which(program, path=self.variables.get("PATH")) is not None

    def _register(self, bundle: Any) -> None:
        name = bundle.free_name(self.name, "agent")
        bundle.agents[name] = self._entry(name, bundle.name)
        bundle.processes[name] = self
        object.__setattr__(self, NAME_ATTRIBUTE, name)

    def _entry(self, name: str, bundle: str) -> AgentEntry:
        what = f"agent {name}"
        if faults := list(self._faults()):
            raise DefinitionError("\n".join(f"{what}: {fault}" for fault in faults))
        said = self.effect or (None if self.compensate else Effect.READ_ONLY)
        timeout = read_limit(what, self.timeout)
        if not isinstance(timeout, timedelta | None):
            raise DefinitionError(f"{what}: timeout is a duration; nobody measures how long a process runs")
        return AgentEntry(
            name=name,
            description=self.description,
            effect=read_effect(what, said, self.compensate, retracts=True),
            compensate=read_target(what, self.compensate, bundle) if self.compensate else RETRACT,
            models=read_models(what, self.models),
            tools=read_tools(what, self.tools, bundle),
            many_tools=True,  # it chooses by its own ways
            may_ask=read_asking(what, self.may_ask),
            timeout=timeout or LONGEST_RUN,
            guard=read_guard_in(bundle, what, self.guard),
            on_limit=self.on_limit,
            budget=read_budget(what, self.budget),
            process=ProcessTerms(on_divergence=self.on_divergence, loose=self.loose_match),
            input_schema=read_schema(what, "input", self.input, "validation"),
            output_schema=read_schema(what, "output", self.output, "serialization"),
        )

    def _faults(self) -> Iterator[str]:
        if not isinstance(self.description, str) or not self.description.strip():
            yield "say in its description what it does; other agents see it"
        is_list = not isinstance(self.command, str) and isinstance(self.command, Sequence) and self.command
        if not is_list or not all(isinstance(part, str) and part for part in self.command):
            yield 'command is a list of texts, the program and its arguments: ["python", "agent.py"]'
        if self.cwd is not None and not isinstance(self.cwd, str):
            yield "cwd is the path of a folder"
        yield from env_faults(self.env)
        for name in self.env if isinstance(self.env, Mapping) else ():
            if name in RESERVED or str(name).startswith("COUNTERSTEP_"):
                yield f"env: {name} is how the process finds the gateway; leave it out"
        if self.on_divergence not in typing.get_args(Divergence):
            known = ", ".join(typing.get_args(Divergence))
            yield f"on_divergence is one of {known}, not {self.on_divergence!r}"
        if not isinstance(self.loose_match, bool):
            yield "loose_match is True or False"
        if self.on_limit not in (None, "fail", "wait"):
            yield f"on_limit is fail or wait, not {self.on_limit!r}: a process cannot be told to sum up"
