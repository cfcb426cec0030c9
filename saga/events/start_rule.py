"""A rule that says which events start which task."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from ..duration import Duration
from ..errors import ExpressionError
from ..expressions.expression import compile_expression
from .published_event import PublishedEvent, key_fault, key_text


class StartRule(BaseModel):
    """What a bundle declares with ``bundle.on``.

    Attributes:
        name: Its full name; the ids of the tasks that it starts begin with it.
        topics: The events that it waits for; a join where there are several, which waits for all of them.
        keys: For each topic, the CEL expression over ``event``, the payload, that says what an event is
            about; without one that is the event's own key.
        task: The workflow type that it starts.
        within: How long a join waits; None for a rule of one topic.
        maps: Whether a function makes the task's input, or else the input is the payload, and for a join an
            object with the payloads by topic.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    topics: tuple[str, ...]
    keys: dict[str, str] = {}
    task: str
    within: Duration | None = None
    maps: bool = False

    @property
    def is_join(self) -> bool:
        """Whether it waits for several events."""
        return len(self.topics) > 1

    def key_of(self, event: PublishedEvent) -> str:
        """Returns what an event is about.

        Raises:
            ExpressionError: The payload lacks what the expression reads, or its value cannot be a key.
        """
        source = self.keys.get(event.topic)
        if source is None:
            return event.key
        value: Any = compile_expression(source).evaluate({"event": event.payload})
        if reason := key_fault(value):
            raise ExpressionError(f"{source} {reason}")
        return key_text(value)


def task_id(rule: str, key: str) -> str:
    """Returns the workflow id of the one task that a rule starts for a key."""
    return f"{rule}/{key}"


def join_id(rule: str, key: str) -> str:
    """Returns the workflow id of the join that waits for the events of a key."""
    return f"join/{rule}/{key}"


def publication_id(topic: str, key: str) -> str:
    """Returns the workflow id under which an event is published."""
    return f"publish/{topic}/{key}"
