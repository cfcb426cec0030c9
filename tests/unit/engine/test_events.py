"""The events that a task keeps: the newest, each once, and at a cost that does not grow with their number."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.engine import events
from counterstep.saga.engine.events import Events
from counterstep.saga.record.task_log import TaskLog
from counterstep.saga.temporal.pace import Pace

Take = Callable[[Any], None]


class Record:
    """What `Events` asks of a record."""

    def __init__(self, kept: list[dict[str, Any]]) -> None:
        self.events = kept
        self.log = TaskLog(lambda: datetime.now(UTC))

    def keep_events(self, kept: list[dict[str, Any]]) -> None:
        self.events = list(kept)


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "serve_signal", lambda name, handler: None)


def take(record: Record, *come: dict[str, Any]) -> Events:
    taker = Events(record, Pace(None))  # type: ignore[arg-type]
    for event in come:
        taker._take(event)
    return taker


def kept_of(come: list[dict[str, Any]], most: int, size: int) -> list[dict[str, Any]]:
    """What is kept, as one would say it."""
    kept: list[dict[str, Any]] = []
    for event in come:
        if event["id"] is not None and event["id"] in [other["id"] for other in kept]:
            continue
        kept = [*kept, event][-most:]
        while len(kept) > 1 and len(json.dumps(kept, ensure_ascii=False)) > size:
            kept.pop(0)
    return kept


EVENT = st.fixed_dictionaries(
    {
        "name": st.just("e"),
        "payload": st.text(max_size=40),
        "id": st.none() | st.sampled_from(["1", "2", "3", "4"]),
    }
)


@given(st.lists(EVENT, max_size=30), st.integers(0, 30))
def test_the_newest_events_are_kept_each_once(come: list[dict[str, Any]], first: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "MAX_EVENTS", 6)
        patch.setattr(events, "MAX_BYTES", 300)
        patch.setattr(events, "serve_signal", lambda name, handler: None)
        record = Record([])
        take(record, *come[:first])
        take(record, *come[first:])  # as in a continued run
    assert record.events == kept_of(come, 6, 300)


def test_each_event_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0

    def dumps(value: Any, **options: Any) -> str:
        nonlocal written
        text = json.dumps(value, **options)
        written += len(text)
        return text

    monkeypatch.setattr(events, "json", type("Json", (), {"dumps": staticmethod(dumps)}))
    come = [{"name": "tick", "payload": "x" * 150, "id": str(number)} for number in range(3000)]
    record = Record([])
    take(record, *come)
    assert len(record.events) == 1000
    assert written < 3000 * 250, "what was there is not written again with each event"
