"""Environment variables: what they may say, what is refused, and secrets in files."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

from counterstep.runtime.settings import Settings, SettingsError, read_settings


def read(variables: dict[str, str]) -> Settings:
    with patch.dict(os.environ, variables, clear=True):
        return read_settings()


def test_nothing_set_gives_the_defaults() -> None:
    settings = read({"COUNTERSTEP_MODEL": " ", "COUNTERSTEP_TASK_QUEUE": ""})
    assert (settings.task_queue, settings.inline_specs, settings.model) == ("counterstep", False, ())
    assert settings.graceful_shutdown == timedelta(seconds=30)
    assert settings.model_fields_set == set()


def test_what_is_set_is_read() -> None:
    settings = read(
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


def test_a_setting_is_read_by_its_name_alone() -> None:
    """Not in small letters, as the library would by itself, and not as JSON."""
    settings = read({"counterstep_task_queue": "small", "TASK_QUEUE": "bare", "COUNTERSTEP_MODEL": '["x"]'})
    assert settings.task_queue == "counterstep"
    assert settings.model == ('["x"]',)


def test_all_faults_come_at_once_with_their_variables() -> None:
    with pytest.raises(SettingsError) as caught:
        read(
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


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("COUNTERSTEP_MODELS", "COUNTERSTEP_MODEL"),
        ("COUNTERSTEP_INLINE_SPEC", "COUNTERSTEP_INLINE_SPECS"),
        ("COUNTERSTEP_LOGLEVEL", "COUNTERSTEP_LOG_LEVEL"),
    ],
)
def test_a_misspelt_setting_is_not_overlooked(variable: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}: there is no such setting; did you mean {meant}"):
        read({variable: "x"})


def test_variables_of_others_are_left_alone() -> None:
    read({"COUNTERSTEP_SHELF": "a bundle's own", "SSL_CERT_FILE": "/nowhere", "MODEL": "x"})


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-from-a-file\n")
    variables = {"OPENAI_API_KEY_FILE": str(file), "TEMPORAL_API_KEY_FILE": str(file), "OPENAI_API_KEY": " "}
    with patch.dict(os.environ, variables, clear=True):
        read_settings()
        assert os.environ["OPENAI_API_KEY"] == os.environ["TEMPORAL_API_KEY"] == "sk-from-a-file"
        read_settings()  # what the first time has put there is no second source
        os.environ["OPENAI_API_KEY"] = "sk-another"
        with pytest.raises(SettingsError, match="OPENAI_API_KEY is set as well"):
            read_settings()


def test_secrets_that_cannot_be_read_are_all_named_and_none_is_quoted(tmp_path: Path) -> None:
    contents = {"EMPTY": b"\n", "TWO": b"one\ntwo\n", "BINARY": b"\xff\xfe", "LARGE": b"k" * 10_001}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    variables = {f"{name}_API_KEY_FILE": str(tmp_path / name) for name in [*contents, "MISSING"]}
    variables |= {"BOTH_API_KEY": "sk-set", "BOTH_API_KEY_FILE": str(tmp_path / "TWO")}
    with pytest.raises(SettingsError) as caught:
        read({**variables, "COUNTERSTEP_LOG_LEVEL": "loud"})
    said = {fault.path: fault.message for fault in caught.value.faults}
    assert set(said) == {"COUNTERSTEP_LOG_LEVEL", *variables} - {"BOTH_API_KEY"}
    assert said["EMPTY_API_KEY_FILE"].endswith("it is empty")
    assert said["TWO_API_KEY_FILE"].endswith("it has more than one line")
    assert said["BINARY_API_KEY_FILE"].endswith("it is not text")
    assert said["LARGE_API_KEY_FILE"].endswith("it has more than 10000 bytes")
    assert said["MISSING_API_KEY_FILE"].endswith("No such file or directory")
    assert said["BOTH_API_KEY_FILE"].startswith("BOTH_API_KEY is set as well")
    assert "sk-set" not in str(caught.value)


def test_the_documented_table_is_the_settings() -> None:
    page = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
    rows = re.findall(r"^\| `(COUNTERSTEP_\w+)` \| (.*?) \|", page, re.MULTILINE)
    expected = {
        f"COUNTERSTEP_{name.upper()}": _shown(field.default) for name, field in Settings.model_fields.items()
    }
    assert {name: default.strip("`") for name, default in rows} == expected


def _shown(default: object) -> str:
    if isinstance(default, timedelta):
        return f"{default.total_seconds():.0f}s"
    if isinstance(default, bool):
        return str(default).lower()
    return "none" if default in ((), None) else str(default)


def test_a_webhook_has_an_address_and_a_secret_which_may_be_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERSTEP_NOTIFY_URL", "https://hooks.example.com/counterstep")
    with pytest.raises(SettingsError, match="belong together"):
        read_settings()
    file = tmp_path / "secret"
    file.write_text("whsec_c2VjcmV0\n")
    monkeypatch.setenv("COUNTERSTEP_NOTIFY_SECRET_FILE", str(file))
    monkeypatch.setenv("COUNTERSTEP_DECISION_TOKEN", "an option of commands")
    settings = read_settings()
    assert settings.notify_secret is not None
    assert settings.notify_secret.get_secret_value() == "whsec_c2VjcmV0"
    assert "c2Vj" not in repr(settings)
    assert "COUNTERSTEP_NOTIFY_SECRET" not in os.environ, "nobody else reads it"
