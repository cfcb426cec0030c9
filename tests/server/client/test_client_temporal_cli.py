"""A registered task, started and read with Temporal's own command line."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import Any
from uuid import uuid4

from counterstep.embedded import EmbeddedServer, find_program
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks


async def test_a_registered_task_needs_no_client_of_ours(
    server: EmbeddedServer, tasks: Tasks, effects: Desk
) -> None:
    id = f"temporal-{uuid4()}"

    async def temporal(*arguments: str) -> tuple[int, Any, str]:
        done = await asyncio.to_thread(
            subprocess.run,
            [str(find_program()), *arguments, "--address", server.address, "--output", "json"],
            capture_output=True,
            text=True,
            timeout=100,
        )
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr

    start = ("workflow", "start", "--type", "desk.tidy", "--task-queue", tasks.task_queue)
    once = ("--workflow-id", id, "--input", '{"what": "cup"}', "--id-reuse-policy", "RejectDuplicate")
    code, started, error = await temporal(*start, *once)
    assert code == 0, error
    assert started["workflowId"] == id
    code, result, error = await temporal("workflow", "result", "--workflow-id", id)
    assert code == 0, error
    assert result["result"]["output"] == {"on_desk": "cup"}
    code, board, error = await temporal("workflow", "query", "--workflow-id", id, "--type", "board")
    assert code == 0, error
    (board,) = board["queryResult"]
    assert (board["state"], list(board["steps"])) == ("completed", ["place"])
    code, again, error = await temporal(*start, *once)
    assert list(effects.effects()) == ["cup"]
    assert code != 0 or again["runId"] == started["runId"], again
