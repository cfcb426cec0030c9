"""Events from outside: the signal ``event``, kept until a step has waited for it."""

from __future__ import annotations

import json
from collections import deque
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from temporalio import workflow

from ..errors import ExpressionError
from ..fault_texts import faults_in
from ..record.task_record import TaskRecord
from ..temporal.handlers import serve_signal
from ..temporal.pace import Pace
from ..temporal.stop_scope import StopScope

MAX_EVENTS = 1_000
MAX_BYTES = 200_000
"""How many events, and bytes of them, a task keeps; the oldest go first. They travel into a continued run."""


class Event(BaseModel):
    """The argument of the signal ``event``.

    Attributes:
        name: What has happened.
        payload: More about it; JSON.
        id: Where it is given, the same event counts once however often it is sent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    payload: Any = None
    id: str | None = None


class Events:
    """Takes events, and lets steps wait for them.

    An event satisfies every step that waits for it, whether it comes before or after the step has begun.
    """

    def __init__(self, record: TaskRecord, pace: Pace) -> None:
        """Serves the signal from now on.

        Args:
            record: Keeps the events.
            pace: Has the workflow rest where many conditions are looked at.
        """
        self._record = record
        self._pace = pace
        self._dropped = 0
        self._counted: list[dict[str, Any]] | None = None
        self._sizes, self._bytes, self._ids = deque[int](), 0, set[str]()
        serve_signal("event", self._take)

    def _take(self, argument: Any = None) -> None:
        try:
            event = Event.model_validate(argument)
        except ValidationError as error:
            self._record.log.add(
                "somebody", "sends an event that cannot be read", "", faults_in(error, "event")
            )
            return
        if self._counted is not self._record.events:
            self._count()
        if event.id is not None and event.id in self._ids:
            return
        self._record.log.add("somebody", f"event {event.name}", "", event.id or "")
        come = event.model_dump(mode="json")
        self._note(come)
        dropped = 0
        while len(self._sizes) > MAX_EVENTS or (len(self._sizes) > 1 and self._bytes > MAX_BYTES):
            self._bytes -= self._sizes.popleft()
            self._ids.discard(self._record.events[dropped]["id"])
            dropped += 1
        self._dropped += dropped
        self._record.keep_events([*self._record.events[dropped:], come])
        self._counted = self._record.events

    def _count(self) -> None:
        """Takes over what an earlier run has kept."""
        self._sizes, self._bytes, self._ids = deque(), 0, set()
        for event in self._record.events:
            self._note(event)

    def _note(self, event: dict[str, Any]) -> None:
        """Counts an event that is kept: all of them anew for each would take longer the more there are."""
        size = _size(event)
        self._sizes.append(size)
        self._bytes += size
        if event["id"] is not None:
            self._ids.add(event["id"])

    async def until(
        self,
        name: str,
        where: str | None,
        variables: dict[str, Any],
        scope: StopScope,
        deadline: timedelta | None,
    ) -> dict[str, Any] | None:
        """Waits for an event.

        Args:
            name: Its name.
            where: A condition on it; None for any.
            variables: What the condition sees beside ``event``, the payload.
            scope: A stop ends the wait.
            deadline: How long at most; None for as long as it takes.

        Returns:
            The event; None where it has not come in time, or the scope was stopped.
        """
        found: dict[str, Any] | None = None
        looked_at = 0

        def has_come() -> bool:
            nonlocal found, looked_at
            events, dropped = self._record.events, self._dropped
            for event in events[max(looked_at - dropped, 0) :]:
                if found is not None or scope.stopped or self._pace.rests():
                    break
                looked_at = max(looked_at, dropped) + 1
                found = event if self._fits(event, name, where, variables) else None
            return found is not None or scope.stopped

        try:
            await workflow.wait_condition(has_come, timeout=deadline, timeout_summary=f"event {name}"[:200])
        except TimeoutError:
            return None
        return found

    def _fits(self, event: dict[str, Any], name: str, where: str | None, variables: dict[str, Any]) -> bool:
        if event["name"] != name:
            return False
        if where is None:
            return True
        try:
            return self._pace.evaluate_now(where, {**variables, "event": event["payload"]}) is True
        except ExpressionError:
            return False  # it has not what the condition reads: it is another one


def _size(event: dict[str, Any]) -> int:
    """Returns how many characters an event has in the JSON of a list, with what comes between two."""
    return len(json.dumps(event, ensure_ascii=False)) + len(", ")
