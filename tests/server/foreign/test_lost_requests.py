"""A worker that dies while a model answers its process agent."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.foreign.provider import ANSWER, Provider
from counterstep.tests.support.foreign.travel import Bookings
from counterstep.tests.support.foreign.travel_worker import travels
from counterstep.tests.support.processes.watching import until
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import end_of

WISH = {"wish": "A flight and a hotel in Rome."}


@pytest.mark.slow
async def test_a_request_that_went_down_with_its_host_is_made_again_by_the_next(
    server: EmbeddedServer,
    task_queue: str,
    paid: Provider,
    bookings: Bookings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = await Client.connect(server.address)
    with worker_process(server.address, task_queue, travels) as first:
        answer = paid.answer

        def killed(dialect: str, body: dict[str, Any]) -> dict[str, Any]:
            told = answer(dialect, body)
            if len(paid.paid) == 2:  # it is paid, and nobody hears it
                first.kill()
            return told

        monkeypatch.setattr(paid, "answer", killed)
        handle = await client.start_workflow("travel.trip", WISH, id=f"trip-{uuid4()}", task_queue=task_queue)
        await until(lambda: first.poll() is not None)
    with worker_process(server.address, task_queue, travels):
        end = await end_of(handle)
    assert (end.type, end.output) == ("completed", ANSWER)
    assert paid.turns == [0, 1, 1, 2]
    assert bookings.made() == [("book_flight", "Rome"), ("book_hotel", "Rome")]
    history = await client.get_workflow_handle(f"{handle.id}/book/process#1").fetch_history()
    hosts = [
        event
        for event in history.events
        if event.activity_task_scheduled_event_attributes.activity_type.name == "counterstep.host"
    ]
    assert len(hosts) == 2
