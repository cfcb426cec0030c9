"""A hostile process agent is refused, its refusals are in the log, and nothing of it is left running."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.foreign.travel import HOSTILE, Bookings, travel
from counterstep.tests.support.processes.watching import until
from counterstep.tests.support.tasks.tasks import end_of

FLOOD = 40


def running(folder: Path) -> list[str]:
    """Returns the processes that name a folder in their command lines."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words:
            found.append(process.parent.name)
    return found


@pytest.mark.long
async def test_a_hostile_agent_gets_nothing_and_leaves_nothing(
    server: EmbeddedServer,
    task_queue: str,
    bookings: Bookings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = travel([sys.executable, str(HOSTILE)], output={"type": "object"})
    plugin = CounterstepPlugin(bundles=[agent])
    client = await Client.connect(server.address, plugins=[plugin])
    given = {"remember": str(tmp_path), "flood": FLOOD}
    async with Worker(client, task_queue=task_queue):
        handle = await client.start_workflow(
            "travel.trip", given, id=f"hostile-{uuid4()}", task_queue=task_queue
        )
        end = await end_of(handle)
    assert end.type == "completed", end
    told = end.output
    for tool in ("another tool", "another bundle's tool"):
        assert "there is no tool" in told[tool][1], told[tool]
    assert "InvalidInput" in told["no arguments that fit"][1]
    assert told["another model"][0] == 403
    assert told["another path"][0] in (401, 404)
    for forged in ("a forged token", "no token", "a token of an earlier attempt"):
        assert told[forged][0] == 401, forged
    assert told["flood"] == [[200], FLOOD]
    assert [city for _, city, _ in bookings.rows()] == ["Rome"] * FLOOD
    assert "Oslo" not in json.dumps(bookings.rows())
    logged = [record.getMessage() for record in caplog.records if record.name == "counterstep.gateway"]
    for what in (
        "the model 'gpt-5' is not allowed",
        "not the token of a run",
        "there is no tool 'drop_tables'",
    ):
        assert any(what in line and "travel.agent" in line for line in logged), what
    await until(lambda: not running(tmp_path))
