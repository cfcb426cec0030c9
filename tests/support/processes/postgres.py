"""A PostgreSQL of the tests' own, where its programs are installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError


@contextmanager
def postgresql() -> Iterator[str]:
    """Starts PostgreSQL on a Unix socket, and ends it; skips the test where that is not possible.

    Yields:
        The address of its maintenance database.
    """
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="trip-", dir="/tmp"))  # short: a socket's path has 107 bytes
    other: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        try:
            shutil.chown(folder, "postgres", "postgres")
        except LookupError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        other = {"user": "postgres", "group": "postgres", "extra_groups": []}
    data = str(folder / "data")
    initdb = [str(programs / "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/", **other)
    serve = [str(programs / "postgres"), "-D", data, "-k", str(folder), "-c", "listen_addresses="]
    server = subprocess.Popen([*serve, "-c", "fsync=off"], stderr=subprocess.DEVNULL, cwd="/", **other)
    address = f"postgresql+psycopg://postgres@/postgres?host={folder}"
    try:
        _await(address)
        yield address
    finally:
        server.send_signal(signal.SIGINT)  # it waits for no client
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def new_database(postgres: str) -> str:
    """Creates a database beside the one at `postgres`; returns its DSN."""
    name = f"trip_{uuid4().hex}"
    engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create database {name}"))
    engine.dispose()
    return postgres.replace("/postgres?", f"/{name}?").replace("+psycopg", "")


def _programs() -> Path:
    """Returns where PostgreSQL's programs are, or skips the test."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'counterstep[postgres]'")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (installed[-1] if installed else None)
    if found is None:
        pytest.skip("PostgreSQL is not installed: there is no initdb in PATH or in /usr/lib/postgresql")
    return Path(found).resolve().parent


def _await(address: str) -> None:
    engine = create_engine(address)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            engine.connect().close()
        except OperationalError:
            time.sleep(0.1)
        else:
            engine.dispose()
            return
    raise RuntimeError("PostgreSQL has not started")
