"""What needs node and the npm registry: a start from TypeScript, and Mermaid's own parser."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from counterstep.bundle.spec_file import load_spec, parse_spec
from counterstep.cli.terminal.mermaid import draw
from counterstep.cli.terminal.task_picture import TaskPicture, picture_of_board, picture_of_spec
from counterstep.embedded import EmbeddedServer
from counterstep.saga.record.step_record import StepState
from counterstep.saga.spec.catalog import Catalog
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.pages.pages import PAGES, blocks
from counterstep.tests.support.tasks.tasks import Tasks, end_of, until_asked
from counterstep.tests.support.teams.drawn import every_team

pytestmark = pytest.mark.npm

ROOT = Path(__file__).resolve().parents[3]


def installed(source: Path, folder: Path) -> Path:
    """A copy of an npm project with its dependencies, as its lock file has them."""
    skip = shutil.ignore_patterns("node_modules", "dist")
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=skip)
    run("npm", "ci", "--no-audit", "--no-fund", folder=folder)
    return folder


def run(*command: str, folder: Path, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode in (0, 1), done.stderr
    return done


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = installed(ROOT / "examples" / "typescript", tmp_path_factory.mktemp("typescript"))
    built = run("npm", "run", "build", folder=folder)
    assert built.returncode == 0, built.stdout
    return folder


async def test_a_task_is_started_once_watched_and_read_from_typescript(
    typescript: Path, server: EmbeddedServer, tasks: Tasks, effects: Desk
) -> None:
    where = {"TEMPORAL_ADDRESS": server.address, "COUNTERSTEP_TASK_QUEUE": tasks.task_queue}
    ids = [f"typescript-{uuid4()}" for _ in range(2)]

    async def start(id: str, task: str, input: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        program = ("node", "dist/start.js", id, task, json.dumps(input))
        return await asyncio.to_thread(run, *program, folder=typescript, **where)

    for again in (False, True):
        done = await start(ids[0], "desk.tidy", {"what": "cup"})
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["result"]["output"] == {"on_desk": "cup"}
        assert said["board"] == {"state": "completed", "steps": ["place"]}
        assert ("has been started before" in done.stderr) == again
    assert list(effects.effects()) == ["cup"]
    failed = await start(ids[1], "desk.tidy", {"wat": "cup"})
    assert failed.returncode == 1, failed.stderr
    assert json.loads(failed.stdout)["type"] == "InvalidInput"


async def test_a_person_approves_from_typescript_what_is_shown(
    typescript: Path, server: EmbeddedServer, tasks: Tasks, effects: Desk
) -> None:
    place = {"id": "p", "tool": "desk.put", "input": {"what": "cup"}, "approvals": [{"tool": "desk.put"}]}
    handle = await tasks.start([place])
    await until_asked(handle, "p")
    program = ("node", "dist/decide.js", handle.id, "p", "approve", "ann")
    where = {"TEMPORAL_ADDRESS": server.address}
    done = await asyncio.to_thread(run, *program, folder=typescript, **where)
    assert json.loads(done.stdout) == {"step": "p", "action": "approve"}
    assert '"arguments":{' in done.stderr, "it says what it approves"
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["cup"]
    late = await asyncio.to_thread(run, *program, folder=typescript, **where)
    assert late.returncode == 1


def test_mermaid_reads_every_picture(tmp_path: Path) -> None:
    folder = installed(ROOT / "tests" / "support" / "mermaid", tmp_path / "mermaid")
    odd = [
        'a "quoted" <b>name</b>',
        "end",
        "`code`",
        "#35; & %% --> [x] {y} (z) | ; \\",
        "größe 日本",
        "x" * 500,
    ]
    specs = [ROOT / "examples/trip/trip.yaml", ROOT / "tests/support/bundles/banquet.yaml"]
    words = {
        "name": "words",
        "steps": [{"id": name, "tool": "a.b"} for name in ("end", "class", "graph", "o")],
    }
    boards = [
        {
            "task": name,
            "state": "running",
            "steps": {f"{name}/{state}": {"state": state, "tool": name, "needs": []} for state in StepState},
        }
        for name in odd
    ]
    pictures: list[TaskPicture] = [
        *(picture_of_spec(load_spec(path), Catalog()) for path in specs),
        picture_of_spec(parse_spec(words), Catalog()),
        every_team(),
        *(picture_of_board(board) for board in boards),
    ]
    drawn = [block.text for page in PAGES for block in blocks(page) if block.language == "mermaid"]
    assert len(drawn) > 5
    texts = [*(draw(picture) for picture in pictures), *drawn]
    done = run("node", "parse.mjs", folder=folder, stdin=json.dumps(texts))
    assert done.returncode == 0, done.stderr
    broken = run("node", "parse.mjs", folder=folder, stdin=json.dumps(["flowchart TD\n  a[unclosed"]))
    assert broken.returncode == 1
