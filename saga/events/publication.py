"""What becomes of an event: the rules that take it, the tasks that it starts, and what is told of them."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ..spec.arguments import one_kind_of_number
from .published_event import PublishedEvent
from .start_rule import StartRule


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class RuleMatch(_Value):
    """A rule that takes an event.

    Attributes:
        rule: The rule.
        key: What the event is about.
        starts: Whether it starts something; False where the rule's function says that it does not.
        input: The input of the task, where the rule's function has made one.
    """

    rule: StartRule
    key: str
    starts: bool = True
    input: Any = None


class EventArrival(_Value):
    """An event on its way to a join.

    Attributes:
        event: The event.
        chain: The topics of the events that have led to it, and its own.
    """

    event: PublishedEvent
    chain: tuple[str, ...]


class JoinRequest(_Value):
    """An event that a rule has taken, for the activity that brings it to the join.

    Attributes:
        rule: The rule.
        key: What the event is about.
        arrival: The event.
    """

    rule: StartRule
    key: str
    arrival: EventArrival


class TaskStart(_Value):
    """A task that an event has started.

    Attributes:
        rule: The rule that names it.
        task: Its workflow type.
        id: Its workflow id.
        is_new: Whether this event has started it; False where it had been started before.
    """

    rule: str
    task: str
    id: str
    is_new: bool = True


JoinState = Literal["waiting", "started", "ignored", "expired"]


class JoinAnswer(_Value):
    """What a join says to an event.

    Attributes:
        rule: The rule.
        id: The workflow id of the join.
        state: It waits for others, has started its task, has started nothing because the rule's function
            said so, or has waited in vain.
        missing: The topics that it waits for, or has waited for in vain.
        task: The task that it has started, or None.
        is_new: Whether this event has counted; False for one that is late, or of a topic that was there.
    """

    rule: str
    id: str
    state: JoinState
    missing: tuple[str, ...] = ()
    task: TaskStart | None = None
    is_new: bool = True


class Publication(_Value):
    """What has become of an event.

    Attributes:
        topic: Its topic.
        key: Its key.
        digest: A hash of its payload, which tells a repeated event from another one of the same key.
        started: The tasks that it has started, or that had been started for the same key.
        joined: The joins that it was brought to.
        ignored: The rules whose functions said that it starts nothing.
    """

    topic: str
    key: str
    digest: str
    started: tuple[TaskStart, ...] = ()
    joined: tuple[JoinAnswer, ...] = ()
    ignored: tuple[str, ...] = ()


def digest_of(payload: Any) -> str:
    """Returns a hash of a JSON value: SHA-256 (FIPS 180-4) of its canonical text, cut to 128 bits.

    JSON knows one kind of number: 20 and 20.0 have the same.
    """
    text = json.dumps(one_kind_of_number(payload), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
