"""Environment variables, and where a command finds what it was asked to run."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest

from counterstep.logs import configure_logs
from counterstep.settings import Settings, SettingsError, read_settings


def test_nothing_set_gives_the_defaults() -> None:
    settings = read_settings({"COUNTERSTEP_MODEL": " "})
    assert settings == Settings()
    assert (settings.task_queue, settings.inline_specs, settings.model) == ("counterstep", False, ())
    assert settings.graceful_shutdown == timedelta(seconds=30)
    assert settings.model_fields_set == set()


def test_what_is_set_is_read() -> None:
    settings = read_settings(
        {
            "COUNTERSTEP_BUNDLES": "a.b:c, d:e",
            "COUNTERSTEP_MODEL": "openai/x,ollama/y",
            "COUNTERSTEP_INLINE_SPECS": "TRUE",
            "COUNTERSTEP_LOG_FORMAT": "JSON",
            "COUNTERSTEP_GRACEFUL_SHUTDOWN": "5m",
        }
    )
    assert settings.bundles == ("a.b:c", "d:e")
    assert settings.model == ("openai/x", "ollama/y")
    assert settings.inline_specs
    assert settings.log_format == "json"
    assert settings.graceful_shutdown == timedelta(minutes=5)


def test_all_faults_come_at_once_with_their_variables() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(
            {
                "COUNTERSTEP_BUNDLES": "a:b,,c:d",
                "COUNTERSTEP_INLINE_SPECS": "perhaps",
                "COUNTERSTEP_LOG_LEVEL": "loud",
                "COUNTERSTEP_GRACEFUL_SHUTDOWN": "30",
            }
        )
    assert [fault.path for fault in caught.value.faults] == [
        "COUNTERSTEP_BUNDLES",
        "COUNTERSTEP_INLINE_SPECS",
        "COUNTERSTEP_LOG_LEVEL",
        "COUNTERSTEP_GRACEFUL_SHUTDOWN",
    ]
    assert "must be true or false, not 'perhaps'" in str(caught.value)


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level


def test_records_of_any_library_become_json_lines(logging_restored: None) -> None:
    stream = io.StringIO()
    configure_logs(stream, json=True, level="info")
    try:
        raise ValueError("secret in a local variable is not shown")
    except ValueError:
        logging.getLogger("anybody").exception("failed %s", "twice", extra={"temporal_workflow": {"id": "x"}})
    logging.getLogger("httpx").info("a request")
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert (record["event"], record["level"], record["logger"]) == ("failed twice", "error", "anybody")
    assert record["temporal_workflow"] == {"id": "x"}
    assert "ValueError" in record["exception"]


def test_the_console_has_the_traceback_without_variables(logging_restored: None) -> None:
    stream = io.StringIO()
    configure_logs(stream, json=False, level="warning")
    password = "hunter" + str(2)
    try:
        int(password)
    except ValueError:
        logging.getLogger("anybody").warning("failed", exc_info=True)
    logging.getLogger("anybody").info("not shown")
    assert "failed" in stream.getvalue()
    assert "not shown" not in stream.getvalue()
    assert "password =" not in stream.getvalue()
