"""What ``Saga.call`` is given: a bundle's tool or agent, or any activity."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python
from temporalio import workflow
from temporalio.common import RawValue

from ..effect import Effect
from ..errors import DefinitionError
from ..json_value import read_json, write_json
from ..names import NAME_ATTRIBUTE, nearest
from ..spec.catalog import AgentEntry, Catalog, ToolEntry
from ..spec.rules.tool_rules import narrowed
from ..spec.validation import Validation
from ..temporal.sdk_internals import activity_type

T_co = TypeVar("T_co", covariant=True)


class Answering(Protocol[T_co]):
    """What has a declared output: a model agent."""

    @property
    def output(self) -> type[T_co] | dict[str, Any]:
        """The type of the answer, or its JSON Schema."""


@dataclass(frozen=True, slots=True)
class CallTarget:
    """One thing that can be called.

    Attributes:
        name: The activity type, or the agent's full name.
        entry: The bundle's entry; None for a plain activity.
        target: What the user gave.
    """

    name: str
    entry: ToolEntry | AgentEntry | None
    target: Any

    @property
    def kind(self) -> str:
        """What the board calls it: an activity, an agent or a tool."""
        if self.entry is None:
            return "activity"
        return "agent" if isinstance(self.entry, AgentEntry) else "tool"

    def effect(self, said: Effect | None) -> Effect:
        """Returns what a call does to the world; of a plain activity what is said of it."""
        return self.entry.effect if self.entry is not None else said or Effect.COMPENSATABLE

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, engine: int) -> Any:
        """Turns the call's arguments into the input of a bundle's tool or agent, as JSON.

        Args:
            args: The positional ones.
            kwargs: The others.
            engine: By which rules the task is run, see `ENGINE`.

        Raises:
            DefinitionError: They do not fit the signature, or cannot become JSON.
        """
        assert self.entry is not None
        if isinstance(self.entry, AgentEntry) and self.entry.whole_input:
            if len(args) + bool(kwargs) != 1:
                raise DefinitionError(f"{self.name} takes one input: one argument, or its fields by name")
            return self._written(args[0] if args else dict(kwargs), engine)
        names = self.entry.parameters
        if len(args) > len(names):
            raise DefinitionError(f"{self.name} takes {len(names)} arguments, not {len(args)}")
        named = dict(zip(names, args, strict=False))
        for name in kwargs:
            if name in named or name not in names:
                twice = " twice" if name in named else ""
                raise DefinitionError(f"{self.name} takes no {name!r}{twice}{nearest(name, names)}")
        return self._written({**named, **kwargs}, engine)

    def with_tools(
        self, tools: Sequence[Any] | None, arguments: dict[str, Any]
    ) -> tuple[CallTarget, dict[str, Any]]:
        """Leaves a model agent some of its tools; for anything else they are an argument.

        Args:
            tools: Functions or agents of a bundle, or their names; None for all.
            arguments: The arguments by name.

        Returns:
            What is to be called, with which arguments.

        Raises:
            DefinitionError: The agent has no such tool; all faults are told.
        """
        if tools is None:
            return self, arguments
        if not isinstance(self.entry, AgentEntry) or not self.entry.asks_models:
            return self, {**arguments, "tools": tools}
        names = tuple(str(getattr(tool, NAME_ATTRIBUTE, tool)) for tool in tools)
        unknown = [name for name in names if name not in self.entry.tools]
        if unknown:
            told = (f"{self.name} has no tool {name!r}{nearest(name, self.entry.tools)}" for name in unknown)
            raise DefinitionError("\n".join(told))
        return replace(self, entry=narrowed(self.entry, names)), arguments

    def named(self, args: tuple[Any, ...], *, engine: int) -> dict[str, Any]:
        """Names the positional arguments of a plain activity, as JSON, for its undo.

        Args:
            args: The arguments.
            engine: By which rules the task is run, see `ENGINE`.

        Raises:
            DefinitionError: They cannot become JSON.
        """
        parameters = list(inspect.signature(self.target).parameters) if callable(self.target) else []
        parameters += [f"arg{index}" for index in range(len(parameters), len(args))]
        named: dict[str, Any] = self._written(dict(zip(parameters, args, strict=False)), engine)
        return named

    def _written(self, arguments: Any, engine: int) -> Any:
        if engine < 3:
            return to_jsonable_python(arguments)
        try:
            return write_json(arguments)
        except (ValueError, RecursionError) as error:
            raise DefinitionError(f"the arguments of {self.name} cannot travel as JSON: {error}") from None

    def result(self, raw: RawValue) -> Any:
        """Turns the payload of a plain activity's result into the type that it declares."""
        return workflow.payload_converter().from_payload(raw.payload, return_type(self.target))

    def typed(self, output: Any) -> Any:
        """Turns the JSON result of a bundle's tool or agent into the type that it declares."""
        type_ = getattr(self.target, "output", Any) if _is_agent(self.target) else return_type(self.target)
        return (
            output if type_ in (Any, None) or isinstance(type_, dict) else read_json(_adapter(type_), output)
        )


def read_action(target: Any, catalog: Catalog) -> CallTarget:
    """Finds out what is to be called.

    Args:
        target: A function or `Agent` of a bundle, an activity function, or a name of either.
        catalog: The task's snapshot.

    Raises:
        DefinitionError: It is none of these, or the worker does not offer it.
    """
    name = target if isinstance(target, str) else getattr(target, NAME_ATTRIBUTE, None)
    if name is not None:
        entry = catalog.tools.get(name) or catalog.agents.get(name)
        if entry is None and not isinstance(target, str):
            known = [*catalog.tools, *catalog.agents]
            raise DefinitionError(f"this worker does not offer {name!r}{nearest(name, known)}")
        return CallTarget(name, entry, target)
    type_ = activity_type(target)
    if type_ is None:
        what = getattr(target, "name", getattr(target, "__name__", target))
        raise DefinitionError(f"{what!r} is neither a tool or an agent of a bundle nor an activity")
    return CallTarget(type_, None, target)


def undo_type(undo: Callable[..., Any] | str | None) -> str | None:
    """Returns the activity type of what a call names as its undo.

    Raises:
        DefinitionError: It is neither a compensation nor an activity.
    """
    if undo is None or isinstance(undo, str):
        return undo
    return getattr(undo, NAME_ATTRIBUTE, None) or read_action(undo, Catalog()).name


def validation_of(item: Any, catalog: Catalog) -> Validation:
    """Reads one item of ``validate``: a validator, a rule or a mapping as in a spec.

    Raises:
        DefinitionError: It is none of these.
    """
    if isinstance(item, Validation):
        return item
    if isinstance(item, Mapping):
        return Validation.model_validate(item)
    name = getattr(item, NAME_ATTRIBUTE, item)
    if isinstance(name, str):
        return Validation(check=name) if name in catalog.validators else Validation(rule=name)
    raise DefinitionError(f"{item!r} is not a validator of a bundle, a rule or a mapping")


@lru_cache(maxsize=1024)
def return_type(function: Any) -> Any:
    """Returns the annotated result type of a function, or Any."""
    if not callable(function):
        return Any
    hints = typing.get_type_hints(function, include_extras=True)
    return hints.get("return", Any)


@lru_cache(maxsize=1024)
def _adapter(type_: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


def _is_agent(target: Any) -> bool:
    return not callable(target) and hasattr(target, NAME_ATTRIBUTE)
