"""What a limit of the pool does to a process: its request waits, and a person is asked."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.engine import process_run
from counterstep.tests.support.foreign.provider import Provider
from counterstep.tests.support.foreign.travel import Bookings, travel
from counterstep.tests.support.tasks.tasks import end_of, tell, until_asked

WISH = {"wish": "A flight and a hotel in Rome."}
SPEC = {
    "name": "trip",
    "steps": [{"id": "book", "agent": "travel.agent", "input": WISH, "on_limit": "escalate"}],
}


async def test_a_person_ends_a_request_that_a_limit_holds_up_and_all_is_undone(
    server: EmbeddedServer,
    task_queue: str,
    paid: Provider,
    bookings: Bookings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(process_run, "PATIENCE", timedelta(seconds=0.5))
    limits = tmp_path / "limits.yaml"
    limits.write_text("limits: [{name: calls, model_calls: 1, per: 1d}]")
    plugin = CounterstepPlugin(bundles=[travel()], limits=limits, inline_specs=True)
    client = await Client.connect(server.address, plugins=[plugin])
    async with Worker(client, task_queue=task_queue):
        handle = await client.start_workflow(
            "AgentTask", {"spec": SPEC, "input": {}}, id=f"trip-{uuid4()}", task_queue=task_queue
        )
        child = client.get_workflow_handle(f"{handle.id}/book/process#1")
        await until_asked(handle, "book/limit")
        for action in ("retry", "end"):
            await until_asked(child, "book/limit")
            await tell(child, "decide", step="book/limit", action=action, by="ann")
        end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "LimitReached")
    assert paid.turns == [0]
    assert [state for *_, state in bookings.rows()] == ["cancelled"]
