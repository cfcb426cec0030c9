"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from counterstep.saga.duration import LONGEST, Duration, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("1.5h", 5400),
        ("0.5ms", 0.0005),
        (" 30s ", 30),
        ("36500d", 36500 * 86400),
    ],
)
def test_reading(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert parse_duration(parse_duration(text)) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (value, "a duration looks like 500ms, 30s, 5m, 2h or 1d, not")
        for value in ("", "5", "s", "5 s", "-5s", "1e3s")
    ]
    + [("5S", "looks like"), ("1h30m", "looks like"), ("٣s", "looks like"), ("5s\nx", "looks like")]
    + [(30, "not 30"), (None, "not None"), (True, "not True"), ([], "looks like")]
    + [
        (zero, "must be more than zero")
        for zero in ("0s", "0.0h", "0.0000001ms", timedelta(0), timedelta(-1))
    ]
    + [(long, "at most 36500d") for long in ("36501d", "9" * 400 + "s", "1" + "0" * 30 + "d", LONGEST * 2)],
)
def test_refusing(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_duration(value)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("90s", "90s"),
        ("120s", "2m"),
        ("48h", "2d"),
        ("1.5h", "90m"),
        ("1000ms", "1s"),
        ("1500ms", "1500ms"),
        ("1.5ms", "1.5ms"),
        ("0.001ms", "0.001ms"),
    ],
)
def test_writing(text: str, written: str) -> None:
    assert format_duration(parse_duration(text)) == written


@example(timedelta(days=30755, microseconds=1))
@given(st.timedeltas(timedelta(microseconds=1), LONGEST))
def test_what_is_written_reads_the_same(duration: timedelta) -> None:
    """A duration in a task's snapshot is the one of its spec, to the microsecond."""
    adapter: TypeAdapter[timedelta] = TypeAdapter(Duration)
    written = adapter.dump_python(duration, mode="json")
    assert adapter.validate_python(written) == duration
