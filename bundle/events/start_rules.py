"""The part of a bundle that says which events start which tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

from ...saga.spec.teams.pattern import Pattern
from ..agent import Agent
from .rule_declaration import RuleDeclaration, read_rule

F = TypeVar("F", bound=Callable[..., Any])


class StartRules:
    """What a bundle says of events.

    Attributes:
        name: The bundle's name.
    """

    name: str

    @cached_property
    def start_rules(self) -> list[RuleDeclaration]:
        """Its rules in the order of their declaration."""
        return []

    def on(
        self,
        topics: str | Sequence[str],
        *,
        task: str | Agent[Any] | Pattern,
        key: str | Mapping[str, str] | None = None,
        within: timedelta | str | None = None,
        name: str | None = None,
    ) -> Callable[[F], F]:
        """Says that an event starts a task: once for each key, however often the event is published.

        As it is, the event's payload is the task's input. As a decorator, the function below makes the input
        from the payload, and None starts nothing. It runs for at most 10 s, may be called again, and must not
        change anything.

        Args:
            topics: The topic of the event; or several, for a join: the task is started when an event of each
                is there, and its input, or what the function is given, is an object with the payloads by
                topic.
            task: The task, by its name, or the agent or team that is a task; of this bundle where its name
                does not say another one.
            key: A CEL expression over ``event``, the payload: what the event is about, e.g.
                ``event.order_id``. The topics of a join may have one each. None for the key that the event
                is published under.
            within: How long a join waits, from its first event on.
            name: The rule's name; None for the function's, or the task's without a function. The ids of the
                tasks begin with it: a rule that is renamed knows nothing of what it has started before.

        Returns:
            A decorator that returns the function itself. It may be left unused.

        Raises:
            DefinitionError: Something in it is wrong; all faults are named.
        """
        declared = read_rule(self.name, topics, key, task, within, name)
        self.start_rules.append(declared)
        return declared.decorate
