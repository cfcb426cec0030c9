"""What teams have decided, and what it has cost."""

from __future__ import annotations

from datetime import UTC, datetime

from counterstep.saga.limits.usage import CallUsage
from counterstep.saga.record.team_log import DELEGATES, TeamLog

COST = CallUsage(model_calls=1, input_tokens=10, output_tokens=5, usd=0.5)


def log_of(*calls: str) -> TeamLog:
    log = TeamLog(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    for call in calls:
        log.decide("spawn", team="w", pattern="concurrent", reason="x", call=call, member="m")
    return log


def test_a_call_counts_for_the_turn_that_makes_it_and_for_those_around() -> None:
    log = log_of("w/ann.1", "w/ann.10", "w/ann.1/bob.1")
    log.spend("w/ann.1/bob.1/model.1", COST)
    assert [move["usage"] for move in log.moves] == [
        {"model_calls": 1, "tokens": 15, "usd": 0.5},
        None,
        {"model_calls": 1, "tokens": 15, "usd": 0.5},
    ]


def test_a_call_of_a_second_round_does_not_count_for_the_turn_of_the_first() -> None:
    log = log_of("w/ann.1", "w/ann.1")
    log.spend("w/ann.1/model.1", COST)
    assert [move["usage"] and move["usage"]["tokens"] for move in log.moves] == [None, 15]
    log.end("w/ann.1", "answered")
    assert [move["state"] for move in log.moves] == ["running", "answered"]


def ask(log: TeamLog, call: str, state: str) -> None:
    log.decide("spawn", team="w", pattern=DELEGATES, reason="", call=call, member="m")
    log.end(call, state)


def test_an_agent_that_ends_keeps_what_delegates_have_answered_this_time() -> None:
    log = log_of()
    ask(log, "w/ann.1", "answered")
    ask(log, "w/ann.1", "answered")  # the step is tried again: the time before has failed
    ask(log, "w/bob.2", "failed")
    ask(log, "w/ann.4", "answered")
    log.stop_asking("w", "it has answered")
    assert (log.moves[-1]["operation"], log.moves[-1]["kept"]) == ("stop", [1, 4])
    ask(log, "w/cid.5", "answered")
    log.stop_asking("w", "it has answered")
    assert log.moves[-1]["kept"] == [5]


def test_an_agent_that_has_asked_nobody_has_decided_nothing() -> None:
    log = log_of("w/ann.1")
    log.stop_asking("w", "it has answered")
    assert len(log.moves) == 1
