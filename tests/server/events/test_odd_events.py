"""Events that come at odd moments, and payloads that are written in two ways."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.worker import Replayer

from counterstep.client import EventRefused, TaskClient
from counterstep.embedded import EmbeddedServer
from counterstep.stock import stock
from counterstep.tests.support.events.parcels import Rows, parcels
from counterstep.worker import stock_plugin


def arrival(topic: str, **payload: Any) -> dict[str, Any]:
    return {"event": {"topic": topic, "key": "k", "payload": payload}, "chain": [topic]}


async def test_a_continued_join_that_an_event_has_reached_at_once_replays(
    server: EmbeddedServer, tasks: TaskClient, rows: Rows
) -> None:
    number = uuid4().int % 10**9
    (rule,) = [declared.rule for declared in parcels.start_rules if declared.rule.name == "parcels.ship"]
    carried = {
        "rule": rule.model_dump(mode="json"),
        "key": str(number),
        "arrived": {"order.paid": arrival("order.paid", order=number)},
    }
    client = tasks._client
    starting = WithStartWorkflowOperation[Any, Any](
        "counterstep.join",
        carried,
        id=f"join/parcels.ship/{number}",
        task_queue=tasks._task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
    )
    answer = await client.execute_update_with_start_workflow(
        "arrive", arrival("stock.arrived", for_order=number), start_workflow_operation=starting
    )
    assert (answer["state"], answer["task"]["id"]) == ("started", f"parcels.ship/{number}")
    await (await tasks.attach(f"parcels.ship/{number}")).outcome()
    history = await (await starting.workflow_handle()).fetch_history()
    replayer = Replayer(workflows=[], plugins=[stock_plugin([parcels, stock])])
    await replayer.replay_workflow(history)


async def test_a_payload_whose_numbers_are_equal_is_the_same(tasks: TaskClient, rows: Rows) -> None:
    key = str(uuid4())
    first = await tasks.publish("ping.done", {"turn": 1, "of": [2.0]}, key=key)
    assert await tasks.publish("ping.done", {"turn": 1.0, "of": [2]}, key=key) == first
    with pytest.raises(EventRefused, match="was published under the key"):
        await tasks.publish("ping.done", {"turn": True, "of": [2]}, key=key)


async def test_the_longest_names_are_published(tasks: TaskClient, rows: Rows) -> None:
    with pytest.raises(EventRefused, match="no start rule takes events of"):
        await tasks.publish("🚚" * 100, {}, key="漢" * 133)
    started = (await tasks.publish("ping.done", {"turn": 6}, key=f"{uuid4().hex}{'🚚' * 92}")).started
    assert (await (await tasks.attach(started[0].id)).outcome()).state == "completed"
