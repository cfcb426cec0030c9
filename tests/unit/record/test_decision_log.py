"""The decisions of a task: kept in order, and bounded."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from counterstep.saga.limits.budget import Budget
from counterstep.saga.record.board import board
from counterstep.saga.record.decision_log import MAX_KEPT
from counterstep.saga.record.task_log import TaskLog
from counterstep.saga.record.task_record import TaskRecord


def now() -> datetime:
    return datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def test_a_decision_is_a_line_of_the_log_too() -> None:
    log = TaskLog(now)
    log.decide("rung", "falls back to shop.clerk", "buy", "it timed out", call="buy/model.1")
    decision = {
        "at": "2026-03-02T09:30:00+00:00",
        "kind": "rung",
        "what": "falls back to shop.clerk",
        "step": "buy",
        "reason": "it timed out",
        "by": "counterstep",
        "call": "buy/model.1",
    }
    assert log.decided.kept == [decision]
    assert [(line["who"], line["what"], line["why"]) for line in log.lines] == [
        ("counterstep", "falls back to shop.clerk", "it timed out")
    ]


def test_the_oldest_decisions_go_first_and_only_so_many_bytes_go_on() -> None:
    log = TaskLog(now)
    for number in range(MAX_KEPT + 5):
        log.decide("refusal", f"no {number}", "buy", "x" * 600)
    kept = log.decided.kept
    assert (len(kept), kept[0]["what"], len(kept[0]["reason"])) == (MAX_KEPT, "no 5", 500)
    carried = log.decided.carried()
    assert carried == kept[-len(carried) :]
    assert 140_000 < len(json.dumps(carried)) < 152_000


def test_a_board_has_decisions_only_where_there_are_some() -> None:
    record = TaskRecord(
        task="shop.order", task_id="w", goal="", budget=Budget(), now=now, changed=lambda _: None
    )
    assert "decided" not in board(record)
    record.log.decide("retry", "goes back to quote", "buy", "too dear")
    assert [decision["kind"] for decision in board(record)["decided"]] == ["retry"]
