"""What a worker offers: tools, agents, validators, compensations and registered tasks, as data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..duration import Duration
from ..effect import Effect
from ..history_format import RETRACT, STAND_IN
from .approval import Approval, Asking
from .retry import Retry
from .task_spec import TaskSpec
from .teams.handoff import Handoff
from .teams.pattern import OnLimit
from .teams.team import Team

Repeats = Literal["return", "refuse", "allow"]
"""What an agent gets that asks once more for what it has done already in its step: the earlier result, a
refusal, or another call."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    description: str = ""


class ToolEntry(_Entry):
    """One tool.

    Attributes:
        effect: What a call does to the world.
        compensate: The activity type that undoes a call; set exactly for compensatable tools.
        before: The read-only tool whose result the undo needs.
        interruptible: Whether a cancel may stop a running call of a tool that changes something.
        idempotent: Whether the tool may be repeated under the same key.
        timeout: The longest one attempt may take; None for the default.
        approval: When a call needs a person's yes; None where none does.
        repeats: What an agent gets that asks for a call with effects a second time.
        parameters: Names of the parameters in order.
        input_schema: JSON Schema of the arguments, by name.
        output_schema: JSON Schema of the result.
    """

    effect: Effect
    compensate: str | None = None
    before: str | None = None
    interruptible: bool = False
    idempotent: bool = False
    timeout: Duration | None = None
    approval: Approval | None = None
    repeats: Repeats = "return"
    parameters: tuple[str, ...] = ()
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}


class AgentEntry(_Entry):
    """One agent: a language model with tools, or Python code.

    Attributes:
        python: True where the agent is Python code (one activity of its own name).
        models: litellm names as a fallback chain; empty for the worker's default.
        instructions: The system prompt of a model agent.
        tools: Names of the tools and of the agents it may call, and no others.
        max_turns: Most model calls of one run.
        temperature: Sampling temperature, or None for the provider's default.
        max_tokens: The most tokens of one answer, or None for the provider's default.
        may_ask: Whom it may ask what it has to know; None where it may ask nobody.
        stand_in: True where the stand-in model may play it when no model is set.
        whole_input: True where the input is one object; False where it is arguments by name.
        team: How several agents play it; None for one.
        handoffs: To whom it may hand its conversation over.
        returns: Whether all of these may hand it back.
        max_handoffs: How often a conversation that it has begun is handed over, at most.
        on_limit: What follows when that is reached, or agents hand over in a circle.
    """

    effect: Effect
    compensate: str = RETRACT
    python: bool = False
    models: tuple[str, ...] = ()
    instructions: str = ""
    tools: tuple[str, ...] = ()
    max_turns: int = 8
    many_tools: bool = False
    stand_in: bool = False
    temperature: float | None = None
    max_tokens: int | None = None
    may_ask: Asking | None = None
    interruptible: bool = False
    timeout: Duration | None = None
    parameters: tuple[str, ...] = ()
    whole_input: bool = True
    team: Team | None = None
    handoffs: tuple[Handoff, ...] = ()
    returns: bool = False
    max_handoffs: int = 5
    on_limit: OnLimit = "fail"
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}

    @property
    def is_model(self) -> bool:
        """Whether a language model plays it, and nobody else."""
        return not self.python and self.team is None

    @property
    def others(self) -> tuple[str, ...]:
        """The names of what it may call: tools and agents; those of a team's members are agents.

        Those are among them to whom it may hand over, and the tools that are called when it does.
        """
        if self.team is not None:
            return self.team.agents
        handed = [name for handoff in self.handoffs for name in (handoff.to, handoff.on_handoff)]
        return (*self.tools, *(name for name in handed if name is not None))


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
        undone_by = {entry.compensate for entry in tool_entries.values()}
        undone_by |= {entry.compensate for entry in agent_entries.values()}
        return Catalog(
            tools=tool_entries,
            agents=agent_entries,
            validators={name: self.validators[name] for name in validators if name in self.validators},
            compensations={n: e for n, e in self.compensations.items() if n in undone_by},
            default_models=self.default_models,
        )


_KINDS = (
    (
        "compensation",
        "compensations",
        "a compensation of the bundle; it runs by itself when a call is undone",
    ),
    ("validator", "validators", "a validator of the bundle; name it under validate, as check"),
    ("tool", "tools", "a tool of the bundle, and not {}"),
    ("agent", "agents", "an agent of the bundle, and not {}"),
    ("task", "tasks", "a task of the bundle, and not {}"),
)


def other_kind(name: str, catalog: Catalog, *, but: str) -> str:
    """Says what a name is in the bundles, if it is something else than what it is used for.

    Args:
        name: The full name.
        catalog: What the bundles offer.
        but: What it is used for: compensation, validator, tool, agent or task.

    Returns:
        What follows the name in a message; empty where nothing else has this name.
    """
    if name in catalog.not_offered:
        return f"is not offered: {catalog.not_offered[name]}"
    wanted = f"{'an' if but == 'agent' else 'a'} {but}"
    found = (said for kind, names, said in _KINDS if kind != but and name in getattr(catalog, names))
    said = next(found, "")
    return f"is {said.format(wanted)}" if said else ""
