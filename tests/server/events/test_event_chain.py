"""What events have led to goes along everywhere, and a workflow without events sends nothing of it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.saga.events.chain import LED_BY
from counterstep.saga.history_format import EVENTS_HEADER
from counterstep.worker import stock_plugin


@activity.defn
async def led_by() -> list[str]:
    return list(LED_BY.get())


@workflow.defn(sandboxed=False)
class Relay:
    """Continues as new, then starts a child, whose activity says what has led to it."""

    @workflow.run
    async def run(self, stage: int) -> list[str]:
        if stage == 0:
            workflow.continue_as_new(1)
        if stage == 1:
            return await workflow.execute_child_workflow(Relay.run, 2)
        return await workflow.execute_activity(led_by, start_to_close_timeout=timedelta(seconds=10))


async def test_the_chain_of_events_survives_runs_children_and_calls(
    server: EmbeddedServer, task_queue: str
) -> None:
    client = await Client.connect(server.address, plugins=[stock_plugin([])])
    async with Worker(client, task_queue=task_queue, workflows=[Relay], activities=[led_by]):

        async def relayed(id: str) -> list[str]:
            found: list[str] = await client.execute_workflow(Relay.run, 0, id=id, task_queue=task_queue)
            return found

        plain = str(uuid4())
        assert await relayed(plain) == []
        token = LED_BY.set(("order.paid", "stock.low"))  # as in an activity that these have led to
        try:
            assert await relayed(str(uuid4())) == ["order.paid", "stock.low"]
        finally:
            LED_BY.reset(token)
        history = await client.get_workflow_handle(plain).fetch_history()
        assert EVENTS_HEADER not in history.to_json()
