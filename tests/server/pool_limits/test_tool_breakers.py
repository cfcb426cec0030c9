"""A tool whose breaker is open is not called, and there is nothing to undo; undos are never held up."""

from __future__ import annotations

from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks
from counterstep.tests.support.tasks.work import put

FAILS = {**put("second", "first", fail="before"), "on_limit": "fail"}


async def test_a_sick_tool_is_left_alone_and_what_it_did_before_is_undone(
    server: EmbeddedServer, task_queue: str, effects: Desk, tmp_path: Path
) -> None:
    (tmp_path / "limits.yaml").write_text("breakers: {failures: 1, tools: [desk.put]}\n")
    plugin = CounterstepPlugin([desk], inline_specs=True, limits=tmp_path / "limits.yaml")
    client = await Client.connect(server.address, plugins=[plugin])
    async with Worker(client, task_queue=task_queue):
        tasks = Tasks(client, task_queue)
        end = await tasks.run([put("first"), FAILS])
        assert (end.type, end.failure["type"]) == ("SagaRolledBack", "RuntimeError")
        assert effects.effects() == {}  # taken back, though the breaker of the tool was open
        before = len(effects.events())
        end = await tasks.run([{**put("third"), "on_limit": "fail"}])
        assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BreakerOpen")
        assert "the breaker of desk.put is open: RuntimeError" in end.failure["message"]
        assert len(effects.events()) == before
