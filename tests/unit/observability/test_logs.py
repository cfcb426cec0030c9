"""How records become lines, and what of a secret is left in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from opentelemetry import trace

from counterstep.observability.logs import configure_logs
from counterstep.observability.redaction import hide, redacted
from counterstep.tests.support.bundles.talkative import (
    Log,
    logging_to_json,
)


@pytest.fixture
def log() -> Iterator[Log]:
    with logging_to_json("info") as log:
        yield log


def test_records_of_any_library_become_json_lines(log: Log) -> None:
    try:
        raise ValueError("secret in a local variable is not shown")
    except ValueError:
        logging.getLogger("anybody").exception("failed %s", "twice", extra={"customer": {"id": "x"}})
    logging.getLogger("httpx").info("a request")
    (record,) = log.records
    assert (record["event"], record["level"], record["logger"]) == ("failed twice", "error", "anybody")
    assert record["customer"] == {"id": "x"}
    assert "ValueError" in record["exception"]


def test_the_console_has_the_traceback_without_variables() -> None:
    with logging_to_json("info"):
        stream = io.StringIO()
        configure_logs(logging.StreamHandler(stream), json=False, level="warning")
        password = "hunter" + str(2)
        try:
            int(password)
        except ValueError:
            logging.getLogger("anybody").warning("failed", exc_info=True)
        logging.getLogger("anybody").info("not shown")
    assert "failed" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "not shown" not in stream.getvalue()
    assert "password =" not in stream.getvalue()


def test_a_trace_is_named_where_there_is_one(log: Log) -> None:
    logging.getLogger("anybody").info("outside")
    span = trace.SpanContext(trace_id=0xABC, span_id=1, is_remote=False)
    with trace.use_span(trace.NonRecordingSpan(span)):
        logging.getLogger("anybody").info("inside")
    assert "trace_id" not in log.of("outside")[0]
    assert log.of("inside")[0]["trace_id"] == f"{0xABC:032x}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://:pa@ss@cache:6379/0", "redis://[redacted]@cache:6379/0"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "[redacted]"),
        ('{"api_key": "abcdef"}', '{"[redacted]}'),
        ("password: 'two words'; rest", "[redacted]; rest"),
        ("postgres://u:p@ss/w@h/db", "postgres://[redacted]@h/db"),
        ("GET /?token=abcdefgh&n=1", "GET /?[redacted]&n=1"),
        ("GET /v1?alt=json&key=AIzaSyNotAKey0123 200", "GET /v1?alt=json&[redacted] 200"),
        ("the value of a variable: hunter2-hunter2", "the value of a variable: [redacted]"),
        ("told by the worker: 0123456789", "told by the worker: [redacted]"),
        ("basic understanding of http://host:80/x, input_tokens=12", None),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: str | None
) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2-hunter2")
    hide("0123456789")
    assert redacted(text) == (expected or text)


def test_a_line_is_json_whatever_is_in_it(log: Log) -> None:
    logging.getLogger("anybody").info('a "quote"\n{"api_key": "x"}', extra={"b": b"\xff", "o": object})
    (line,) = log.text.splitlines()
    assert json.loads(line)["event"].startswith('a "quote"')
