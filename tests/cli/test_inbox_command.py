"""`counterstep inbox` says what is wrong before it serves anything."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

MAIN = "from counterstep.cli import main; main()"
PROXY = {"COUNTERSTEP_INBOX_SIGN_IN": "header", "COUNTERSTEP_INBOX_URL": "https://inbox.example.com"}


def inbox(
    folder: Path, *words: str, without: Sequence[str] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs it in a process, with no Temporal server anywhere."""
    missing = "".join(f"sys.modules[{name!r}] = None; " for name in without)
    command = [sys.executable, "-c", f"import sys; {missing}{MAIN}", "inbox", *words]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSTEP_")}
    variables = {**kept, "TEMPORAL_ADDRESS": "127.0.0.1:1", **variables}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", ["starlette", "jinja2", "uvicorn", "itsdangerous"])
def test_without_the_extra_it_says_what_to_install(tmp_path: Path, name: str) -> None:
    done = inbox(tmp_path, without=[name])
    assert done.returncode == 2, done.stderr
    (said,) = done.stderr.strip().splitlines()
    assert name in said and 'pip install "counterstep[inbox]"' in said


def test_everything_that_is_unsafe_or_unusable_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text('{"kty": "oct", "k": "c2VjcmV0", "kid": "x"}')
    key = {"COUNTERSTEP_INBOX_SIGNING_KEY": "key.json"}
    header = {"COUNTERSTEP_INBOX_SIGN_IN": "header"}
    done = inbox(tmp_path, "--user", "ann", "--web-ui-url", "ui", **header, **key)
    assert done.returncode == 2
    for part in ("--web-ui-url", "SIGNING_KEY", "--user", "TRUSTED_PROXIES", "INBOX_URL"):
        assert part in done.stderr
    done = inbox(tmp_path, "--host", "0.0.0.0", COUNTERSTEP_INBOX_SECRET="short")
    assert done.returncode == 2
    assert "COUNTERSTEP_INBOX_SECRET" in done.stderr and "short'" not in done.stderr
    done = inbox(tmp_path, "--host", "0.0.0.0")
    assert (done.returncode, "--anywhere" in done.stderr) == (2, True)
    done = inbox(tmp_path, **PROXY, COUNTERSTEP_INBOX_TRUSTED_PROXIES="10.0.0.1/8,everybody")
    assert done.returncode == 2
    assert "10.0.0.1/8" in done.stderr and "everybody" in done.stderr


def test_a_server_that_is_away_and_a_name_that_is_none(tmp_path: Path) -> None:
    assert inbox(tmp_path, "--user", "ann").returncode == 4
    done = inbox(tmp_path, "--user", "=finance")
    assert (done.returncode, "NAME=ROLE" in done.stderr) == (2, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = inbox(tmp_path, "--port", port, "--user", "ann")
    assert (done.returncode, port in done.stderr) == (74, True)
