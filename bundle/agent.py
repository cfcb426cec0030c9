"""A model agent: a language model with instructions, tools and types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic

from typing_extensions import TypeVar

from ..saga.effect import Effect
from ..saga.spec.approval import Asking
from ..saga.spec.teams.pattern import OnLimit

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
        tools: The only tools that it may call, as functions of a bundle or as registered names.
        max_turns: The most model calls of one run; a run that needs more fails.
        effect: What its tools together do to the world; None derives it from the tools.
        compensate: The compensation of the whole call, which runs after the undos of its tool calls.
        temperature: The sampling temperature; None for the provider's default.
        max_tokens: The most tokens of one answer, with its reasoning if the provider counts that; None for
            the provider's default. An answer that is cut off there is not accepted as a whole one.
        many_tools: Whether to allow more than 15 tools; with more than that, models choose worse.
        timeout: The longest time that one model call may take; None for 60 s.
        may_ask: Whether it may ask a person, by the tool ``ask_person``: the task waits for the answer, as
            for an approval. An `Asking` says who answers, and how long is waited.
        handoffs: To whom it may hand its conversation over, by tools ``transfer_to_NAME``: agents, or
            `counterstep.teams.Handoff` for more than that. Whoever has the conversation in the end gives this
            agent's answer, of its output type.
        returns: Whether all of these may hand the conversation back to it.
        max_handoffs: How often a conversation that it has begun is handed over, at most.
        on_limit: What follows when that is reached, or agents hand over in a circle: ``fail``; ``finish``,
            whoever has the conversation answers with what there is, and the result is marked as degraded; or
            ``escalate`` to a person.
    """

    name: str
    description: str
    instructions: str
    output: type[OutputT] | dict[str, Any] = _TEXT
    input: Any = None
    model: str | Sequence[str] | None = None
    tools: Sequence[Callable[..., Any] | str] = ()
    max_turns: int = 8
    effect: Effect | None = None
    compensate: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    many_tools: bool = False
    timeout: timedelta | str | None = None
    may_ask: bool | Asking = False
    handoffs: Sequence[Any] = ()
    returns: bool = False
    max_handoffs: int = 5
    on_limit: OnLimit = "fail"
