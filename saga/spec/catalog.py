"""What a worker offers: tools, agents, validators, compensations and registered tasks, as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..duration import Duration
from ..effect import Effect
from ..errors import Fault
from ..expressions.json_values import Whole
from ..history_format import RETRACT, STAND_IN
from ..limits.budget import Budget
from ..limits.limit_policies import OnLimit
from ..names import nearest
from .approval import Approval, Asking
from .process_terms import ProcessTerms
from .retry import Retry
from .task_spec import TaskSpec
from .teams.handoff import Handoff
from .teams.intent import Intent
from .teams.team import Team
from .timeout import Timeout
from .validation import Validation

CALLS_PER_TURN = 20
"""Tool calls that an agent may ask for at once: the server takes a limited number of pending activities."""

Repeats = Literal["return", "refuse", "allow"]
"""What an agent gets that asks once more for what it has done already in its step: the earlier result, a
refusal, or another call."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    description: str = ""


class _Guarded(_Entry):
    """What is called with an input that can be checked before.

    Attributes:
        guard: Checks of the input before a call.
    """

    guard: tuple[Validation, ...] = ()


class ToolEntry(_Guarded):
    """One tool.

    Attributes:
        effect: What a call does to the world.
        compensate: The activity type that undoes a call; set exactly for compensatable tools.
        before: The read-only tool whose result the undo needs.
        interruptible: Whether a cancel may stop a running call of a tool that changes something.
        idempotent: Whether the tool may be repeated under the same key.
        timeout: The longest one attempt may take; None for the default.
        approval: When a call needs a person's yes; None where none does.
        repeats: What an agent gets that asks for a call with effects a second time; with ``allow`` the same
            call, with effects or without, is not a loop either.
        parameters: Names of the parameters in order.
        input_schema: JSON Schema of the arguments, by name.
        output_schema: JSON Schema of the result.
    """

    effect: Effect
    compensate: str | None = None
    before: str | None = None
    interruptible: bool = False
    idempotent: bool = False
    timeout: Timeout | None = None
    approval: Approval | None = None
    repeats: Repeats = "return"
    parameters: tuple[str, ...] = ()
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}


class AgentEntry(_Guarded):
    """One agent: a language model with tools, or Python code.

    Attributes:
        python: True where the agent is Python code (one activity of its own name).
        models: litellm names as a fallback chain; empty for the worker's default.
        instructions: The system prompt of a model agent.
        tools: Names of the tools and of the agents it may call, and no others.
        max_turns: Most model calls of one run.
        max_calls_per_turn: Most tool calls that it may ask for in one turn.
        temperature: Sampling temperature, or None for the provider's default.
        max_tokens: The most tokens of one answer, or None for the provider's default.
        seed: Makes the sampling of models that take one repeat itself; None for none.
        may_ask: Whom it may ask what it has to know; None where it may ask nobody.
        stand_in: True where the stand-in model may play it when no model is set.
        whole_input: True where the input is one object; False where it is arguments by name.
        team: How several agents play it; None for one.
        handoffs: To whom it may hand its conversation over.
        returns: Whether all of these may hand it back.
        max_handoffs: How often a conversation that it has begun is handed over, at most.
        on_limit: What follows when a limit is reached; None for what its step or task says.
        budget: The most that one of its jobs may spend.
        intents: The kinds of requests that it takes.
        process: What is known of the process that plays it; None where none does.
    """

    effect: Effect
    compensate: str = RETRACT
    python: bool = False
    models: tuple[str, ...] = ()
    instructions: str = ""
    tools: tuple[str, ...] = ()
    max_turns: int = 8
    max_calls_per_turn: int = CALLS_PER_TURN
    many_tools: bool = False
    stand_in: bool = False
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    may_ask: Asking | None = None
    interruptible: bool = False
    timeout: Timeout | None = None
    parameters: tuple[str, ...] = ()
    whole_input: bool = True
    team: Team | None = None
    handoffs: tuple[Handoff, ...] = ()
    returns: bool = False
    max_handoffs: int = 5
    on_limit: OnLimit | None = None
    budget: Budget = Budget()
    intents: tuple[Intent, ...] = ()
    process: ProcessTerms | None = None
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}

    @property
    def is_model(self) -> bool:
        """Whether a language model plays it, and nobody else."""
        return not self.python and self.team is None and self.process is None

    @property
    def asks_models(self) -> bool:
        """Whether its own job may ask a language model."""
        return not self.python and self.team is None

    @property
    def instead(self) -> str:
        """What plays it in place of a language model, as a predicate; empty where one does."""
        if self.process is not None:
            return "is a process"
        return "is Python code" if self.python else "is a team" if self.team is not None else ""

    @property
    def offered(self) -> int:
        """How many tools a model has to choose from: agents, handoffs and a person to ask count as well."""
        return len(self.tools) + len(self.handoffs) + (self.may_ask is not None)

    @property
    def others(self) -> tuple[str, ...]:
        """The names of what it may call: tools and agents; those of a team's members are agents.

        Those are among them to whom it may hand over, and the tools that are called when it does.
        """
        if self.team is not None:
            return self.team.agents
        handed = [name for handoff in self.handoffs for name in (handoff.to, handoff.on_handoff)]
        return (*self.tools, *(name for name in handed if name is not None))


class AgentChange(BaseModel):
    """What a fork changes of a model agent; None leaves it as it is.

    Attributes:
        model: litellm names as a fallback chain.

    The others are those of `AgentEntry`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: tuple[str, ...] | None = Field(default=None, min_length=1)
    instructions: str | None = None
    temperature: float | None = Field(default=None, strict=True)
    max_tokens: Whole[int | None] = Field(default=None, ge=1, strict=True)
    seed: Whole[int | None] = Field(default=None, strict=True)

    def applied(self, agent: AgentEntry) -> AgentEntry:
        """Returns an agent as this makes it."""
        said = self.model_dump(exclude_none=True)
        if self.model is not None:
            said["models"] = said.pop("model")
        return agent.model_copy(update=said)


class ValidatorEntry(_Entry):
    """One validator; a fast one runs as a local activity of at most 1 s."""

    fast: bool = False


class CompensationEntry(_Entry):
    """One compensation.

    Attributes:
        timeout: The longest one attempt may take; None for the default.
        retry: How often and how fast it is tried before it counts as stuck; None for the default.
    """

    timeout: Duration | None = None
    retry: Retry | None = None


class Catalog(BaseModel):
    """All that a worker offers, or the part of it that one task uses.

    Attributes:
        workflows: Types of the workflows that the bundles bring along.
        default_models: The fallback chain of agents that name no model; empty where none is set.
        not_offered: Why tools of MCP servers are not offered, by their full names; no snapshot has it.
    """

    model_config = ConfigDict(frozen=True)

    tools: dict[str, ToolEntry] = {}
    agents: dict[str, AgentEntry] = {}
    validators: dict[str, ValidatorEntry] = {}
    compensations: dict[str, CompensationEntry] = {}
    tasks: dict[str, TaskSpec] = {}
    workflows: tuple[str, ...] = ()
    default_models: tuple[str, ...] = ()
    not_offered: dict[str, str] = Field(default={}, exclude=True)

    def models_of(self, agent: AgentEntry) -> tuple[str, ...]:
        """Returns the fallback chain that `agent` uses on this worker; empty where none is set."""
        return agent.models or self.default_models or ((STAND_IN,) if agent.stand_in else ())

    def tools_of(self, agent: AgentEntry) -> tuple[ToolEntry, ...]:
        """Returns the tools that an agent may call, without the agents among them."""
        return tuple(self.tools[name] for name in agent.tools if name in self.tools)

    def undos_of(self, tools: Iterable[ToolEntry]) -> tuple[CompensationEntry, ...]:
        """Returns what is declared of the undos of tools."""
        names = {tool.compensate for tool in tools}
        return tuple(entry for name, entry in self.compensations.items() if name in names)

    def asked_by(self, agent: AgentEntry) -> Catalog:
        """Returns what the agents among an agent's tools need; nothing where there are none."""
        names = [name for name in agent.tools if name in self.agents]
        return self.only(tools=(), agents=names, validators=()) if names else Catalog()

    def with_changes(self, changes: Mapping[str, AgentChange]) -> Catalog:
        """Returns the same with some agents changed.

        Args:
            changes: What is changed, by the names of agents that are here.
        """
        if not changes:
            return self
        changed = {name: change.applied(self.agents[name]) for name, change in changes.items()}
        return self.model_copy(update={"agents": {**self.agents, **changed}})

    def with_agent(
        self, agent: AgentEntry, tools: Iterable[ToolEntry], compensations: Iterable[CompensationEntry]
    ) -> Catalog:
        """Returns what an agent needs beside the agents, with the agent itself.

        Args:
            agent: The agent.
            tools: What it may call.
            compensations: What is declared of their undos.
        """
        return Catalog(
            tools={**self.tools, **{tool.name: tool for tool in tools}},
            agents={**self.agents, agent.name: agent},
            compensations={**self.compensations, **{entry.name: entry for entry in compensations}},
            default_models=self.default_models,
        )

    def with_others(self, agents: Iterable[str]) -> dict[str, AgentEntry]:
        """Returns agents by name, with those that they may call, and those in turn."""
        found: dict[str, AgentEntry] = {}
        waiting = [*agents]
        while waiting:
            name = waiting.pop(0)
            if name in self.agents and name not in found:
                found[name] = self.agents[name]
                waiting += found[name].others
        return found

    def models_behind(self, agents: Iterable[str]) -> set[str]:
        """Returns the models that agents may ask, those that they may call, and those in turn."""
        entries = self.with_others(agents).values()
        return {model for entry in entries if entry.asks_models for model in self.models_of(entry)}

    def in_conversation(self, agent: AgentEntry) -> dict[str, AgentEntry]:
        """Returns an agent by its name, with those to whom its conversation may come by handoffs."""
        found = {agent.name: agent}
        waiting = [agent]
        while waiting:
            for handoff in waiting.pop(0).handoffs:
                if handoff.to in self.agents and handoff.to not in found:
                    found[handoff.to] = self.agents[handoff.to]
                    waiting.append(found[handoff.to])
        return found

    def only(self, *, tools: Iterable[str], agents: Iterable[str], validators: Iterable[str]) -> Catalog:
        """Returns the part that these names, and the names behind them, need."""
        agent_entries = self.with_others(agents)
        names = [*tools, *(name for entry in agent_entries.values() for name in entry.others)]
        names += [self.tools[name].before or "" for name in names if name in self.tools]
        tool_entries = {name: self.tools[name] for name in names if name in self.tools}
        guards = [guard for e in (*tool_entries.values(), *agent_entries.values()) for guard in e.guard]
        validators = {*validators, *(guard.check for guard in guards if guard.check is not None)}
        undone_by = {entry.compensate for entry in tool_entries.values()}
        undone_by |= {entry.compensate for entry in agent_entries.values()}
        return Catalog(
            tools=tool_entries,
            agents=agent_entries,
            validators={n: self.validators[n] for n in sorted(validators) if n in self.validators},
            compensations={n: e for n, e in self.compensations.items() if n in undone_by},
            default_models=self.default_models,
        )


def change_faults(changes: Iterable[str], known: Mapping[str, AgentEntry]) -> Iterator[Fault]:
    """Yields why agents cannot be changed.

    Args:
        changes: Their names.
        known: The agents that there are.
    """
    for name in changes:
        agent = known.get(name)
        if agent is None:
            yield Fault(f"agents.{name}", f"there is no agent {name!r} here{nearest(name, known)}")
        elif not agent.is_model:
            what = f"{agent.instead}{'; its members can be changed' if agent.team is not None else ''}"
            yield Fault(f"agents.{name}", f"{name} {what}; only agents that a model plays can be changed")
