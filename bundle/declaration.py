"""Reads, strictly, what people write when they declare a tool, an agent, a compensation or a validator."""

from __future__ import annotations

import inspect
import re
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from pydantic import ValidationError

from ..saga.duration import parse_duration
from ..saga.effect import Effect
from ..saga.errors import DefinitionError
from ..saga.fault_texts import faults_in
from ..saga.history_format import RETRACT
from ..saga.limits.budget import Budget
from ..saga.limits.limit_policies import OnLimit
from ..saga.names import NAME_ATTRIBUTE
from ..saga.spec.approval import Approval, Asking
from ..saga.spec.catalog import AgentEntry, Repeats
from ..saga.spec.json_schema import check_schema
from ..saga.spec.retry import Retry
from ..saga.spec.teams.handoff import Handoff
from ..saga.spec.teams.member import Person
from ..saga.spec.timeout import Calibrated, Limit, in_full
from ..saga.spec.validation import Validation
from ..saga.undo import Undo
from ..saga.verdict import Subject, Verdict
from .agent import Agent, read_intents
from .function import Function, adapter, is_object_type, schema_of
from .guard_declaration import read_guard

MAX_HANDOFFS = 50
"""How often one conversation may be handed over, whatever its agent says."""

MAX_CALLS_PER_TURN = 200
"""How many tool calls a model may ask for at once, whatever its agent says."""

MAX_SEED = 2**31 - 1
"""Some providers take no more than 31 bits."""


class BundlePart(ABC):
    """Something that `Bundle.add` takes and that registers itself, such as a tool together with its undo."""

    @abstractmethod
    def _register(self, bundle: Any) -> None:  # a Bundle, which imports this
        """Registers it in a bundle, or refuses to with a `DefinitionError`; `Bundle.add` calls this."""


class AgentPart(BundlePart):
    """An agent that registers itself."""

    name: str


def read_effect(what: str, effect: Effect | str | None, compensate: object, *, retracts: bool) -> Effect:
    """Settles the effect of a call.

    Args:
        what: How messages name the call.
        effect: The effect that is stated, or None.
        compensate: The compensation that is named, or None.
        retracts: Whether it has a compensation even if it does not name one, like an agent.

    Raises:
        DefinitionError: Neither an effect nor a compensation is given, or they contradict each other.
    """
    said = None if effect is None else _effect(what, effect)
    if compensate is not None:
        if said not in (None, Effect.COMPENSATABLE):
            raise DefinitionError(
                f"{what}: it names a compensation, so its effect is compensatable, not {said}"
            )
        return Effect.COMPENSATABLE
    if said is None:
        raise DefinitionError(
            f'{what}: its effect is not said; give compensate="..." or effect=Effect.READ_ONLY, '
            "Effect.RETRIABLE or Effect.PIVOT"
        )
    if said is Effect.COMPENSATABLE and not retracts:
        raise DefinitionError(f'{what}: it is compensatable but names no compensation; give compensate="..."')
    return said


def read_timeout(what: str, timeout: timedelta | str | None) -> timedelta | None:
    """Reads a timeout; raises `DefinitionError` if it is not valid."""
    if timeout is None:
        return None
    try:
        return parse_duration(timeout)
    except ValueError as error:
        raise DefinitionError(f"{what}: timeout: {error}") from None


def read_limit(what: str, timeout: Any) -> Limit | None:
    """Reads a timeout that may be a measured one, too; raises `DefinitionError` if it is not valid."""
    said = in_full(timeout)
    if not isinstance(said, Mapping | Calibrated):
        return read_timeout(what, said)
    try:
        return Calibrated.model_validate(said)
    except ValidationError as error:
        raise DefinitionError(f"{what}: timeout: {faults_in(error, 'timeout')}") from None


def read_retry(what: str, retry: Mapping[str, Any] | None) -> Retry | None:
    """Reads a retry policy as a spec writes it; raises `DefinitionError` if it is not valid."""
    if retry is None:
        return None
    try:
        return Retry.model_validate(retry)
    except ValidationError as error:
        raise DefinitionError(f"{what}: retry: {faults_in(error, 'retry')}") from None


def read_approval(what: str, approval: Approval | Mapping[str, Any] | None) -> Approval | None:
    """Reads an approval, or one as a spec writes it; raises `DefinitionError` if it is not valid."""
    if approval is None or isinstance(approval, Approval):
        return approval
    try:
        return Approval.model_validate(approval)
    except ValidationError as error:
        raise DefinitionError(f"{what}: approval: {faults_in(error, 'approval')}") from None


def read_repeats(what: str, repeats: str) -> Repeats:
    """Reads what an agent gets that repeats itself; raises `DefinitionError` if it is not valid."""
    match repeats:
        case "return" | "refuse" | "allow":
            return repeats
        case _:
            raise DefinitionError(f"{what}: repeats is return, refuse or allow, not {repeats!r}")


def read_target(what: str, target: Any, bundle: str) -> str:
    """Returns the full name of what a declaration refers to by its name or by the function itself.

    Raises:
        DefinitionError: It is neither a name nor a function that has been registered.
    """
    name = target if isinstance(target, str) else getattr(target, NAME_ATTRIBUTE, None)
    if not isinstance(name, str) or not re.fullmatch(r"\w+(\.\w+)?", name):
        named = repr(getattr(target, "__name__", target))
        hint = "is not a name" if isinstance(target, str) else "is not registered in a bundle yet"
        raise DefinitionError(f"{what}: {named} {hint}")
    return name if "." in name else f"{bundle}.{name}"


def read_guard_in(bundle: str, what: str, guard: Any) -> tuple[Validation, ...]:
    """Reads a guard, whose validators are those of `bundle` where they do not say another one."""
    return read_guard(what, guard, partial(read_target, bundle=bundle))


def expect_undo(what: str, read: Function) -> None:
    """Raises `DefinitionError` unless the only parameter is an `Undo`."""
    if _only_hint(read) is not Any and not _is_a(_only_hint(read), Undo):
        raise DefinitionError(f"{what}: it must take exactly one parameter, (undo: Undo[...])")


def expect_verdict(what: str, read: Function) -> None:
    """Raises `DefinitionError` unless it takes a `Subject` and returns a `Verdict`."""
    if _only_hint(read) is not Any and not _is_a(_only_hint(read), Subject):
        raise DefinitionError(f"{what}: it must take exactly one parameter, (subject: Subject)")
    if read.result is not Any and not _is_a(read.result, Verdict):
        raise DefinitionError(f"{what}: it must return a Verdict")


def agent_entry(name: str, agent: Agent[Any], bundle: str, *, stand_in: bool) -> AgentEntry:
    """Reads the declaration of a model agent.

    Args:
        name: Its full name.
        agent: The declaration.
        bundle: The bundle that it is added to, in which names without a bundle are looked up.
        stand_in: Whether the stand-in model may play it.

    Raises:
        DefinitionError: Something in it is wrong.
    """
    what = f"agent {name}"
    for part in ("description", "instructions"):
        if not isinstance(getattr(agent, part), str):
            raise DefinitionError(f"{what}: its {part} must be text")
    if not _is_count(agent.max_turns):
        raise DefinitionError(f"{what}: max_turns must be at least 1")
    if not _is_count(agent.max_calls_per_turn) or agent.max_calls_per_turn > MAX_CALLS_PER_TURN:
        raise DefinitionError(f"{what}: max_calls_per_turn must be from 1 to {MAX_CALLS_PER_TURN}")
    if agent.max_tokens is not None and not _is_count(agent.max_tokens):
        raise DefinitionError(f"{what}: max_tokens must be at least 1, or None for the provider's default")
    if agent.seed is not None and not _is_seed(agent.seed):
        raise DefinitionError(f"{what}: seed must be a whole number from 0 to {MAX_SEED}, or None")
    if agent.input is not None and not isinstance(agent.input, dict) and not is_object_type(agent.input):
        raise DefinitionError(f"{what}: its input must be an object: a model, a dataclass or a mapping")
    # The effects of its tools say enough.
    said = agent.effect or (None if agent.compensate else Effect.READ_ONLY)
    return AgentEntry(
        name=name,
        description=agent.description,
        effect=read_effect(what, said, agent.compensate, retracts=True),
        compensate=read_target(what, agent.compensate, bundle) if agent.compensate else RETRACT,
        models=read_models(what, agent.model),
        instructions=agent.instructions,
        tools=read_tools(what, agent.tools, bundle),
        max_turns=agent.max_turns,
        max_calls_per_turn=agent.max_calls_per_turn,
        many_tools=agent.many_tools,
        stand_in=stand_in,
        temperature=agent.temperature,
        max_tokens=agent.max_tokens,
        seed=agent.seed,
        may_ask=read_asking(what, agent.may_ask),
        timeout=read_limit(what, agent.timeout),
        guard=read_guard_in(bundle, what, agent.guard),
        handoffs=_handoffs(what, name, agent, bundle),
        returns=agent.returns,
        max_handoffs=agent.max_handoffs,
        on_limit=agent.on_limit,
        budget=read_budget(what, agent.budget),
        intents=read_intents(what, agent.intents),
        input_schema=read_schema(what, "input", agent.input, "validation"),
        output_schema=read_schema(what, "output", agent.output, "serialization"),
    )


def read_budget(what: str, budget: object) -> Budget:
    """Reads the budget of an agent; raises `DefinitionError` if it is something else."""
    if budget is not None and not isinstance(budget, Budget):
        raise DefinitionError(f"{what}: budget must be a Budget, not {budget!r}")
    return budget or Budget()


def read_asking(what: str, may_ask: bool | Asking) -> Asking | None:
    """Reads whom an agent may ask; raises `DefinitionError` if it is not valid."""
    if not isinstance(may_ask, bool | Asking):
        raise DefinitionError(f"{what}: may_ask must be True, False or an Asking, not {may_ask!r}")
    asking = (Asking() if may_ask else None) if isinstance(may_ask, bool) else may_ask
    if asking is not None and (asking.people > 1 or asking.not_by is not None):
        raise DefinitionError(f"{what}: may_ask takes one person's answer; leave people and not_by out")
    return asking


def _handoffs(what: str, name: str, agent: Agent[Any], bundle: str) -> tuple[Handoff, ...]:
    if isinstance(agent.handoffs, str) or not isinstance(agent.handoffs, Sequence):
        raise DefinitionError(f"{what}: handoffs must be a list of agents, or of Handoff(to=...)")
    faults, found = [], list[Handoff]()
    if not agent.handoffs and (agent.returns, agent.max_handoffs) != (False, 5):
        faults.append(f"{what}: returns and max_handoffs are for agents with handoffs")
    for at, item in enumerate(agent.handoffs):
        if isinstance(item, Person):
            faults.append(f"{what}: handoffs[{at}]: a person has no conversation; say may_ask, to ask one")
            continue
        said = dict(item) if isinstance(item, Handoff) else {"to": item}
        try:
            handoff = Handoff.model_validate(said, context={"bundle": bundle})
        except ValidationError as error:
            faults.append(f"{what}: {faults_in(error, f'handoffs[{at}]')}")
            continue
        if handoff.to == name:
            faults.append(f"{what}: handoffs[{at}].to: it cannot hand over to itself")
        if handoff.to in {other.to for other in found}:
            faults.append(f"{what}: handoffs[{at}].to: it hands over to {handoff.to} already")
        found.append(handoff)
    if not _is_count(agent.max_handoffs) or agent.max_handoffs > MAX_HANDOFFS:
        faults.append(f"{what}: max_handoffs must be from 1 to {MAX_HANDOFFS}, not {agent.max_handoffs!r}")
    if agent.on_limit is not None and agent.on_limit not in typing.get_args(OnLimit):
        known = ", ".join(typing.get_args(OnLimit))
        faults.append(f"{what}: on_limit: {agent.on_limit!r} is not one of {known}")
    if not isinstance(agent.returns, bool):
        faults.append(f"{what}: returns must be True or False, not {agent.returns!r}")
    if faults:
        raise DefinitionError("\n".join(faults))
    typed = (
        None if handoff.metadata is None else read_schema(what, "metadata", handoff.metadata, "validation")
        for handoff in found
    )
    return tuple(h.model_copy(update={"metadata": schema}) for h, schema in zip(found, typed, strict=True))


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEED


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _effect(what: str, effect: Effect | str) -> Effect:
    try:
        return Effect(effect)
    except ValueError:
        raise DefinitionError(f"{what}: {effect!r} is not an effect; there are {', '.join(Effect)}") from None


def read_models(what: str, model: str | Sequence[str] | None) -> tuple[str, ...]:
    """Reads the names of models; raises `DefinitionError` if they are something else."""
    models = (model,) if model and isinstance(model, str) else tuple(model or ())
    if not all(isinstance(name, str) and name for name in models):
        raise DefinitionError(f"{what}: model must be a litellm name or a list of them")
    return models


def read_tools(what: str, tools: Any, bundle: str) -> tuple[str, ...]:
    """Returns the full names of what an agent may call; raises `DefinitionError` if it is something else."""
    if isinstance(tools, str) or not isinstance(tools, Sequence):
        raise DefinitionError(f"{what}: tools must be a list of functions or names")
    names = tuple(read_target(what, tool, bundle) for tool in tools)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DefinitionError(f"{what}: it names {twice[0]} twice among its tools")
    return names


def read_schema(
    what: str, part: str, annotation: Any, mode: Literal["validation", "serialization"]
) -> dict[str, Any]:
    """Returns the JSON Schema of a declared type, which may be one already.

    Args:
        what: How messages name what has declared it.
        part: What it is the type of, e.g. ``input``.
        annotation: The type; None for any object.
        mode: Whether values are read or written.

    Raises:
        DefinitionError: It is neither a type that can be written as JSON nor a JSON Schema.
    """
    if annotation is None:
        return {"type": "object"}
    if not isinstance(annotation, dict):
        return schema_of(what, part, lambda: adapter(what, part, annotation).json_schema(mode=mode))
    faults = check_schema(annotation, part)
    if faults:
        raise DefinitionError("\n".join(f"{what}: {fault}" for fault in faults))
    return annotation


def _only_hint(read: Function) -> Any:
    return read.hints[read.parameters[0]] if len(read.parameters) == 1 else None


def _is_a(annotation: Any, wanted: type) -> bool:
    origin = typing.get_origin(annotation) or annotation
    return inspect.isclass(origin) and issubclass(origin, wanted)
