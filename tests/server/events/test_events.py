"""Events start tasks: each once, however often and late they are published; what is wrong is refused."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from counterstep.client import EventRefused, NoAnswer, Publication, TaskClient
from counterstep.embedded import EmbeddedServer
from counterstep.saga.errors import SpecError
from counterstep.saga.events import join_run
from counterstep.tests.support.events.parcels import Rows


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a join continue as new after every second event."""
    monkeypatch.setattr(join_run, "MOST_UPDATES", 2)


@pytest.fixture
def order() -> int:
    """The number of an order that no other test has."""
    return uuid4().int % 10**9


async def ended(tasks: TaskClient, publication: Publication) -> None:
    """Waits until the tasks that an event has started are at their ends."""
    ids = [task.id for task in publication.started]
    ids += [answer.task.id for answer in publication.joined if answer.task is not None]
    for id in ids:
        await (await tasks.attach(id)).outcome()


async def test_an_event_starts_each_task_once(tasks: TaskClient, rows: Rows, order: int) -> None:
    first, again = await asyncio.gather(
        *(tasks.publish("order.paid", {"order": order, "gift": True}, key=f"p{order}") for _ in range(2))
    )
    assert first == again
    # Another event about the same order: the ids of the tasks are those of the rules and the order.
    other = await tasks.publish("order.paid", {"order": float(order)}, key=f"q{order}")
    await ended(tasks, first)
    late = await tasks.publish("order.paid", {"order": order}, key=f"late{order}")
    assert [(task.id, task.is_new) for task in late.started] == [(f"parcels.pack/{order}", False)]
    assert [(task.id, task.is_new) for task in first.started] == [
        (f"parcels.pack/{order}", True),
        (f"parcels.gift_wrap/{order}", True),
    ]
    assert [(task.id, task.is_new) for task in other.started] == [(f"parcels.pack/{order}", False)]
    assert other.ignored == ("parcels.gift_wrap",)
    assert sorted(rows.sent()) == [
        (f"order {order}", f"parcels.pack/{order}"),
        (f"wrap {order}", f"parcels.gift_wrap/{order}"),
    ]


async def test_a_join_starts_its_task_once_all_are_there(tasks: TaskClient, rows: Rows, order: int) -> None:
    paid = await tasks.publish("order.paid", {"order": order}, key=f"p{order}")
    (waiting,) = paid.joined
    assert (waiting.state, waiting.missing, waiting.is_new) == ("waiting", ("stock.arrived",), True)
    repeated = await tasks.publish("order.paid", {"order": order}, key=f"again{order}")
    assert (repeated.joined[0].state, repeated.joined[0].is_new) == ("waiting", False)
    arrived = await tasks.publish("stock.arrived", {"for_order": order}, key=f"s{order}")
    await ended(tasks, arrived)
    assert arrived.joined[0].task is not None
    assert arrived.joined[0].task.id == f"parcels.ship/{order}"
    late = await tasks.publish("stock.arrived", {"for_order": order}, key=f"late{order}")
    assert (late.joined[0].state, late.joined[0].is_new) == ("started", False)
    assert late.joined[0].task == arrived.joined[0].task
    shipped = [row for row in rows.sent() if row[0].startswith("parcel")]
    assert shipped == [(f"parcel {order}", f"parcels.ship/{order}")]


async def test_a_join_that_continues_as_new_forgets_nothing(
    short_runs: None, tasks: TaskClient, rows: Rows, order: int
) -> None:
    for number in range(5):
        publication = await tasks.publish("order.paid", {"order": order}, key=f"{number}p{order}")
        assert publication.joined[0].is_new == (number == 0)
    arrived = await tasks.publish("stock.arrived", {"for_order": order}, key=f"s{order}")
    await ended(tasks, arrived)
    assert (f"parcel {order}", f"parcels.ship/{order}") in rows.sent()
    first = await tasks._client.get_workflow_handle(arrived.joined[0].id).describe()
    runs = [run async for run in tasks._client.list_workflows(f"WorkflowId = '{first.id}'")]
    assert len(runs) == 3
    deadlines = {await _deadline(tasks, run.id, run.run_id) for run in runs}
    assert len(deadlines - {None}) == 1  # it waits no longer than it said, however many runs it takes


async def _deadline(tasks: TaskClient, id: str, run_id: str | None) -> str | None:
    history = await tasks._client.get_workflow_handle(id, run_id=run_id).fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    (terms,) = await tasks._client.data_converter.decode(started.input.payloads)
    deadline: str | None = terms.get("deadline")
    return deadline


async def test_only_a_whole_event_is_taken_and_without_workers_it_is_kept(
    tasks: TaskClient, server: EmbeddedServer
) -> None:
    with pytest.raises(WorkflowFailureError) as failed:
        await tasks._client.execute_workflow(
            "counterstep.publish", {"topic": "order.paid"}, id=str(uuid4()), task_queue=tasks._task_queue
        )
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.message.startswith("key: is missing; say which one it is")
    with pytest.raises(SpecError, match="topic: a topic looks like"):
        await tasks.publish("a topic", key="k")
    with pytest.raises(NoAnswer, match="The event is kept, but no worker") as silent:
        await tasks.publish("order.paid", key=str(uuid4()), task_queue=f"none-{uuid4()}", seconds=0.2)
    assert silent.value.accepted


async def test_another_event_under_the_same_key_is_refused(tasks: TaskClient, rows: Rows, order: int) -> None:
    await tasks.publish("order.paid", {"order": order}, key=f"k{order}")
    with pytest.raises(EventRefused, match="was published under the key"):
        await tasks.publish("order.paid", {"order": order + 1}, key=f"k{order}")


async def test_a_refused_event_may_be_published_anew(tasks: TaskClient, rows: Rows, order: int) -> None:
    with pytest.raises(EventRefused):
        await tasks.publish("order.paid", {"order": None}, key=f"k{order}")
    await ended(tasks, await tasks.publish("order.paid", {"order": order}, key=f"k{order}"))
    assert rows.sent() == [(f"order {order}", f"parcels.pack/{order}")]


async def test_what_never_comes_is_not_waited_for_for_ever(tasks: TaskClient, rows: Rows, order: int) -> None:
    first = await tasks.publish("hurry.one", key=order)
    await tasks._client.get_workflow_handle(first.joined[0].id).result()
    late = await tasks.publish("hurry.two", key=order)
    assert (late.joined[0].state, late.joined[0].missing) == ("expired", ("hurry.two",))
    assert rows.sent() == []


async def test_events_and_tasks_do_not_start_each_other_for_ever(tasks: TaskClient, rows: Rows) -> None:
    first = await tasks.publish("ping.done", {"turn": 1}, key=str(uuid4()))
    chain, ends = list[str](), list[Any]()
    async with asyncio.timeout(60):
        publication = first
        while True:
            chain.append(publication.started[0].id)
            ends.append(await (await tasks.attach(chain[-1])).outcome())
            if ends[-1].state != "completed":
                break
            publication = Publication.model_validate(ends[-1].output)
    assert len(chain) == 5
    assert ends[-1].state == "rolled_back"
    assert ends[-1].failure["type"] == "TooManyHops"
    assert " -> ".join(["ping.done"] * 6) in ends[-1].failure["message"]
    # The fifth task has undone what it did; the others stand.
    assert [what for what, _ in rows.sent()] == [f"ping {turn}" for turn in range(1, 5)]


@pytest.mark.parametrize(
    ("topic", "payload", "type", "reason"),
    [
        ("order.payed", {"order": 1}, "UnknownTopic", "did you mean 'order.paid'?"),
        ("order.paid", {"number": 1}, "InvalidInput", "start rule parcels.pack: key: event.order is missing"),
        ("order.paid", {"order": "x"}, "InvalidInput", "start rule parcels.pack: input.order"),
        ("order.paid", {"order": None}, "InvalidInput", "event.order is null"),
    ],
)
async def test_an_event_that_fits_no_rule_is_refused_whole(
    tasks: TaskClient, rows: Rows, topic: str, payload: Any, type: str, reason: str
) -> None:
    with pytest.raises(EventRefused) as refused:
        await tasks.publish(topic, payload, key=str(uuid4()))
    assert refused.value.type == type
    assert reason in str(refused.value)
    assert rows.sent() == []
