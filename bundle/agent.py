"""A model agent: a language model with instructions, tools and types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic

from pydantic import ValidationError
from typing_extensions import TypeVar

from ..saga.effect import Effect
from ..saga.errors import DefinitionError
from ..saga.fault_texts import faults_in
from ..saga.limits.budget import Budget
from ..saga.limits.limit_policies import OnLimit
from ..saga.spec.approval import Asking
from ..saga.spec.catalog import CALLS_PER_TURN
from ..saga.spec.teams.intent import MAX_INTENTS, Intent
from ..saga.spec.teams.pattern import Pattern

OutputT = TypeVar("OutputT", default=Any)

_TEXT: Any = str


@dataclass(frozen=True, kw_only=True)
class Agent(Generic[OutputT]):
    """A named worker of a task, played by a language model.

    Attributes:
        name: Its name in the bundle.
        description: What it does, in one sentence.
        instructions: The system prompt.
        output: The type of its answer: a model, a dataclass, a JSON type, or a JSON Schema as a dict.
        input: The type of its input; None for any JSON object.
        model: A litellm name, or several as a fallback chain; None for the worker's default.
        tools: The only tools that it may call, as functions of a bundle, as registered names, or as agents
            and teams, who are asked in a context of their own.
        max_turns: The most model calls of one run; a run that needs more fails.
        max_calls_per_turn: The most tool calls that it may ask for at once; of more none is made, and when it
            asks for more twice in a row, it fails.
        effect: What its tools together do to the world; None derives it from the tools.
        compensate: The compensation of the whole call, which runs after the undos of its tool calls.
        temperature: The sampling temperature; None for the provider's default.
        max_tokens: The most tokens of one answer, with its reasoning if the provider counts that; None for
            the provider's default. An answer that is cut off there is not accepted as a whole one.
        seed: A number that makes its sampling repeat itself, passed on to models that take one: a provider
            does what it can with it, and promises nothing. Samples of one member in a team get one each.
        many_tools: Whether to allow more than 15 tools; with more than that, models choose worse.
        timeout: The longest time that one model call may take, also as measured (``p95``); None for 60 s.
        may_ask: Whether it may ask a person, by the tool ``ask_person``: the task waits for the answer, as
            for an approval. An `Asking` says who answers, and how long is waited.
        guard: Checks of its input before it is asked: validators of a bundle, CEL rules as text, or mappings
            as in a spec. Where one says no it is not asked, and whoever has called it is told why.
        handoffs: To whom it may hand its conversation over, by tools ``transfer_to_NAME``: agents, or
            `counterstep.teams.Handoff` for more than that. Whoever has the conversation in the end gives this
            agent's answer, of its output type.
        returns: Whether all of these may hand the conversation back to it.
        max_handoffs: How often a conversation that it has begun is handed over, at most.
        on_limit: What follows when a limit is reached (its turns, handoffs or budget, that of its step or
            task, a loop, or a limit of the pool): ``fail``; ``finish``, whoever has the conversation answers
            with what there is, and the result is marked as degraded; ``escalate`` to a person, who may raise
            the limit; or ``wait``, where that is one of the pool. None for what its step or task says.
        budget: The most that one of its jobs may spend, with what those spend whom it asks.
        intents: The kinds of requests that it takes, for a `counterstep.teams.Router`: phrases, or
            `counterstep.teams.Intent` with examples. Agents that take the same one are equals, of which one
            is drawn.
    """

    name: str
    description: str
    instructions: str
    output: type[OutputT] | dict[str, Any] = _TEXT
    input: Any = None
    model: str | Sequence[str] | None = None
    tools: Sequence[Callable[..., Any] | Agent[Any] | Pattern | str] = ()
    max_turns: int = 8
    max_calls_per_turn: int = CALLS_PER_TURN
    effect: Effect | None = None
    compensate: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    many_tools: bool = False
    timeout: timedelta | str | Mapping[str, Any] | None = None
    may_ask: bool | Asking = False
    guard: Sequence[Any] = ()
    handoffs: Sequence[Any] = ()
    returns: bool = False
    max_handoffs: int = 5
    on_limit: OnLimit | None = None
    budget: Budget | None = None
    intents: Sequence[Any] = ()


def read_intents(what: str, intents: Any) -> tuple[Intent, ...]:
    """Reads the kinds of requests that an agent takes.

    Args:
        what: What has them, for messages.
        intents: What was written.

    Raises:
        DefinitionError: Something in it is wrong; all faults are told.
    """
    if isinstance(intents, str) or not isinstance(intents, Sequence):
        raise DefinitionError(f"{what}: intents must be a list of phrases, or of Intent(name=...)")
    faults, found = [], list[Intent]()
    for at, item in enumerate(intents):
        if not isinstance(item, str | Intent):
            faults.append(f"{what}: intents[{at}] must be a phrase or an Intent, not {item!r}")
            continue
        try:
            intent = Intent.model_validate({"name": item} if isinstance(item, str) else item.model_dump())
        except ValidationError as error:
            faults.append(f"{what}: intents[{at}]: {faults_in(error)}")
            continue
        if intent.name in {other.name for other in found}:
            faults.append(f"{what}: intents[{at}]: {intent.name!r} is there twice")
        found.append(intent)
    if len(found) > MAX_INTENTS:
        faults.append(f"{what}: it has {len(found)} intents; the most is {MAX_INTENTS}")
    if faults:
        raise DefinitionError("\n".join(faults))
    return tuple(found)
