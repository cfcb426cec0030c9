"""What ``decisions`` says where there are none to show."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.processes.command import Shop
from counterstep.tests.support.tasks.tasks import Tasks


async def test_decisions_of_a_task_without_teams_of_none_and_where_nobody_can_tell(
    server: EmbeddedServer, client: Client, tasks: Tasks, effects: Desk, tmp_path: Path
) -> None:
    shop, id = Shop.open(tmp_path, TEMPORAL_ADDRESS=server.address), f"decisions-{uuid4()}"
    await client.start_workflow("desk.tidy", {"what": "cup"}, id=id, task_queue=tasks.task_queue)
    await client.start_workflow("desk.tidy", {"what": "cup"}, id=f"{id}-alone", task_queue=f"nobody-{id}")
    without, as_data, unknown, alone = await asyncio.to_thread(
        shop.run_together,
        ("decisions", id),
        ("decisions", id, "--json"),
        ("decisions", f"{id}-none", "--json"),
        ("decisions", f"{id}-alone"),
    )
    for ended in (without, as_data):
        assert (ended.code, ended.out) == (0, "")
        assert f"No team has decided anything in {id}: " in ended.err
    assert (unknown.code, unknown.json["failure"]["type"]) == (2, "UnknownTask")
    assert alone.code == 4
    assert "What teams have decided, only a worker can tell." in alone.err
