"""Reads, strictly, what people write when they declare which events start a task."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from ...saga.duration import parse_duration
from ...saga.errors import DefinitionError, ExpressionError
from ...saga.events.published_event import topic_fault
from ...saga.events.start_rule import StartRule
from ...saga.expressions.expression import compile_expression
from ...saga.names import NAME_ATTRIBUTE, nearest
from ..function import Function

F = TypeVar("F", bound=Callable[..., Any])

MAX_TOPICS = 20
"""Events of one join: all of their payloads travel together."""

_WITHIN = "e.g. within='2d': what never comes must not be waited for for ever"


class RuleDeclaration:
    """A start rule as a bundle declares it; a function may still be put under it.

    Attributes:
        rule: The rule.
        function: Makes the task's input from the event; None where the payload is the input.
    """

    def __init__(self, rule: StartRule, bundle: str, *, is_named: bool) -> None:
        """Keeps a rule.

        Args:
            rule: The rule, with the name that it has without a function.
            bundle: The bundle's name.
            is_named: Whether that name was said; else a function gives it its own.
        """
        self.rule = rule
        self.function: Function | None = None
        self._bundle = bundle
        self._is_named = is_named

    def decorate(self, function: F) -> F:
        """Puts a function under the rule, which from now on makes the task's input.

        Returns:
            The function itself, so that it can still be called and tested.

        Raises:
            DefinitionError: It takes anything but one parameter, or a type cannot be written as JSON.
        """
        name = self.rule.name
        if not self._is_named:
            name = f"{self._bundle}.{getattr(function, '__name__', '?')}"
        what = f"start rule {name}"
        read = Function(function, what)
        if len(read.parameters) != 1:
            given = "the payloads by topic" if self.rule.is_join else "the payload"
            raise DefinitionError(f"{what}: it must take exactly one parameter, {given} of what is published")
        self.function = read
        self.rule = self.rule.model_copy(update={"name": name, "maps": True})
        return function


def read_rule(
    bundle: str, topics: Any, key: Any, task: Any, within: Any, name: str | None
) -> RuleDeclaration:
    """Reads the declaration of a start rule.

    Args:
        bundle: The bundle's name; a task without a bundle is one of its own.
        topics: One topic, or a list of them for a join.
        key: A CEL expression over ``event``, or one for each topic, or None for the event's own key.
        task: What it starts, by its name, or the agent or team that is a task.
        within: How long a join waits.
        name: The rule's name, or None.

    Raises:
        DefinitionError: Something in it is wrong; all faults are named.
    """
    listed = [topics] if isinstance(topics, str) else topics
    target = task if isinstance(task, str) else getattr(task, NAME_ATTRIBUTE, None)
    said = name or (target.rpartition(".")[2] if isinstance(target, str) else "?")
    what = f"start rule {bundle}.{said}"
    if not isinstance(listed, Sequence) or not listed:
        raise DefinitionError(f"{what}: say a topic, e.g. 'order.paid', or a list of them, not {topics!r}")
    faults = [*_topic_faults(listed), *_within_faults(listed, within)]
    faults += _key_faults(listed, key)
    if not isinstance(target, str) or not re.fullmatch(r"\w+(\.\w+)?", target):
        faults.append(f"task={task!r} is not the name of a task, as 'shop.fulfil'")
    if name is not None and (not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*", name)):
        faults.append(f"name={name!r} has another shape than [A-Za-z_][A-Za-z0-9_]*")
    if faults:
        raise DefinitionError("\n".join(f"{what}: {fault}" for fault in faults))
    full = f"{target}" if "." in str(target) else f"{bundle}.{target}"
    keys = dict.fromkeys(listed, key) if isinstance(key, str) else dict(key or {})
    rule = StartRule(name=f"{bundle}.{said}", topics=tuple(listed), keys=keys, task=full, within=within)
    return RuleDeclaration(rule, bundle, is_named=name is not None)


def _topic_faults(topics: Sequence[Any]) -> Iterator[str]:
    for topic in topics:
        if reason := topic_fault(topic):
            yield f"topic {topic!r}: {reason}"
    twice = [topic for at, topic in enumerate(topics) if topic in topics[:at]]
    for topic in twice:
        yield f"topic {topic!r} is named twice"
    if len(topics) > MAX_TOPICS:
        yield f"{len(topics)} topics are more than {MAX_TOPICS}"


def _within_faults(topics: Sequence[Any], within: timedelta | str | None) -> Iterator[str]:
    if len(topics) == 1 and within is not None:
        yield "within is for a join, which waits for several events, and it has one topic"
    elif len(topics) > 1 and within is None:
        yield f"a join says how long it waits, {_WITHIN}"
    elif within is not None:
        try:
            parse_duration(within)
        except ValueError as error:
            yield f"within: {error}"


def _key_faults(topics: Sequence[Any], key: Any) -> Iterator[str]:
    if key is None:
        return
    if isinstance(key, str):
        yield from _expression_faults("key", key)
        return
    if not isinstance(key, Mapping):
        yield f"key is a CEL expression over event, as 'event.order_id', or one for each topic, not {key!r}"
        return
    for topic, source in key.items():
        if topic not in topics:
            yield f"key: {topic!r} is not one of its topics{nearest(str(topic), map(str, topics))}"
        elif not isinstance(source, str):
            yield f"key of {topic}: {source!r} is not a CEL expression"
        else:
            yield from _expression_faults(f"key of {topic}", source)
    for topic in topics:
        if topic not in key:
            yield f"key: the one of {topic!r} is missing"


def _expression_faults(what: str, source: str) -> Iterator[str]:
    try:
        expression = compile_expression(source)
    except ExpressionError as error:
        yield f"{what}: {error}"
        return
    others = sorted({path.root for path in expression.paths} - {"event"})
    if others:
        yield f"{what}: {source!r} reads {others[0]}; it can read event alone, the payload"
    elif not expression.paths:
        yield f"{what}: {source!r} does not read event, so that all events would be the same"
