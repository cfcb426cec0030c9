"""The README's words are true: its first task runs, and its snippets do what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from counterstep.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def block_with(text: str) -> str:
    (found,) = [block for block in blocks("python") if text in block]
    return found


def commands() -> list[list[str]]:
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("counterstep ")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "party.py").write_text(blocks("python")[0])
    (tmp_path / "party.yaml").write_text(blocks("yaml")[0])
    (tmp_path / "tables.py").write_text(block_with("class TwoTables"))
    return tmp_path


RECORD = """
import asyncio, sys
from temporalio.client import Client
from temporalio.worker import Worker
from counterstep.plugin import CounterstepPlugin
from party import party
from tables import TwoTables
from test_replay import record

async def main():
    client = await Client.connect(sys.argv[1], plugins=[CounterstepPlugin([party])])
    async with Worker(client, task_queue="two-tables", workflows=[TwoTables]):
        await client.execute_workflow(TwoTables.run, 4, id="friday", task_queue="two-tables")
    await record(client, "friday")

asyncio.run(main())
"""


def counterstep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(folder, "-m", "counterstep.cli", *arguments)


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("COUNTERSTEP", "TEMPORAL"))
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT / ".link")},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_the_first_task_is_short() -> None:
    lines = blocks("python")[0].splitlines() + blocks("yaml")[0].splitlines()
    assert len([line for line in lines if line.strip()]) < 40


def test_the_first_task_runs_and_is_undone(folder: Path) -> None:
    check, good, bad = [command[1:] for command in commands() if command[1] in ("check", "run")]
    try:
        checked = counterstep(folder, *check)
        assert checked.returncode == 0, checked.stderr
        first = counterstep(folder, *good)
        assert first.returncode == 0, first.stderr
        assert "stand-in" in first.stderr
        assert [path.read_text() for path in folder.glob("table-*.txt")] == ["4 guests"]
        second = counterstep(folder, *bad)
        assert second.returncode == 1, second.stderr
        assert "200 is over the budget" in second.stderr.replace("200.0", "200")
        assert sorted(path.read_text() for path in folder.glob("table-*.txt")) == ["4 guests", "cancelled"]
    finally:
        counterstep(folder, "server", "--stop")


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_python_of_the_readme_is_accepted(number: int, folder: Path) -> None:
    code = blocks("python")[number]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT / '.link'}:{folder}"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_replay_test_for_ones_own_workflows(folder: Path, server: EmbeddedServer) -> None:
    (folder / "test_replay.py").write_text(block_with("async def test_what_was_recorded_replays"))
    recorded = python(folder, "-c", RECORD, server.address)
    assert recorded.returncode == 0, recorded.stderr
    assert (folder / "histories" / "friday.json").exists()
    replay = ("-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "test_replay.py")
    same = python(folder, *replay)
    assert "1 passed" in same.stdout, same.stdout
    tables = folder / "tables.py"
    tables.write_text(tables.read_text().replace("return await", "await workflow.sleep(1); return await"))
    changed = python(folder, *replay)
    assert "1 failed" in changed.stdout, changed.stdout
    assert "NondeterminismError" in changed.stdout


def test_the_map_of_the_house_is_complete() -> None:
    listed = set(
        re.findall(r"^([\w.]+?)/?(?:trip/)?\s{2,}", README.split("## The map of the house")[1], re.MULTILINE)
    )
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {
        line.split("/")[0] for line in tracked.splitlines() if "/" in line and not line.startswith(".")
    }
    modules = {line for line in tracked.splitlines() if line.endswith(".py") and "/" not in line} - {
        "__init__.py"
    }
    assert (folders | modules) - listed <= {"tests"}
    assert listed <= {path.name for path in ROOT.iterdir()} | {"examples"}


def test_the_promises_name_tests_that_exist() -> None:
    rows = (ROOT / "docs" / "promises.md").read_text().split("## The tests")[1].splitlines()
    named = 0
    for row in rows:
        for file, tests in re.findall(r"\]\(\.\./(tests/[\w/]+\.py)\):? ?((?:`\w+`(?:, )?)*)", row):
            source = (ROOT / file).read_text()
            for test in re.findall(r"`(\w+)`", tests):
                assert f"def {test}(" in source, f"{file} has no {test}"
                named += 1
    assert named > 40
