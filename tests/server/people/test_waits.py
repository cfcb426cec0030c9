"""Steps that wait: for a person's approval, for an event, for a while."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.limits import history_size
from counterstep.saga.record.search_attributes import SAGA_STATE, SAGA_STEP
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, refusal_of, tell, until_state, until_step
from counterstep.tests.support.tasks.work import put


def approval(**keys: Any) -> list[dict[str, Any]]:
    ask = {"ask": "Spend ${{ steps.a.output.what }}?", "show": "steps.a.output.what", **keys}
    return [put("a"), {"id": "ok", "approve": ask}, put("b", what="${{ steps.ok.output.value }} too")]


async def test_an_approval_lets_the_task_go_on(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(approval(), output="${{ steps.ok.output }}")
    board = await until_state(handle, "waiting")
    (asked,) = board["waiting_for"]
    assert (asked["step"], asked["kind"], asked["ask"]) == ("ok", "approve", "Spend a?")
    assert (asked["show"], asked["actions"]) == ("a", ["approve", "reject", "edit"])
    assert (await handle.describe()).typed_search_attributes.get(SAGA_STEP) == "ok"
    await tell(handle, "decide", step="ok", action="approve", note="fine")
    end = await end_of(handle)
    assert end.output == {"action": "approve", "value": "a", "by": "ann", "note": "fine"}
    (decided,) = (await handle.query("board"))["decisions"]
    assert {key: decided[key] for key in ("step", "ask", "show", "action", "by", "note")} == {
        "step": "ok", "ask": "Spend a?", "show": "a", "action": "approve", "by": "ann", "note": "fine",
    }  # fmt: skip
    assert decided["since"] <= decided["at"]
    assert (await handle.describe()).typed_search_attributes.get(SAGA_STEP) is None
    assert list(effects.effects()) == ["a", "a too"]


async def test_what_is_shown_may_be_edited(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(approval())
    await until_state(handle, "waiting")
    assert "edit needs the new value" in await refusal_of(handle, "decide", step="ok", action="edit")
    await tell(handle, "decide", step="ok", action="edit", value="less")
    assert (await end_of(handle)).type == "completed"
    assert list(effects.effects()) == ["a", "less too"]


async def test_a_rejection_is_a_verdict_and_undoes_everything(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(approval())
    await until_state(handle, "waiting")
    await tell(handle, "decide", step="ok", action="reject", note="too dear")
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Rejected")
    assert "ann said no: too dear" in end.failure["message"]
    assert effects.effects() == {}


async def test_a_rejection_may_send_the_task_back(tasks: Tasks, effects: Desk) -> None:
    steps = approval()
    steps[0]["input"]["what"] = "${{ size(feedback) == 0 ? 'dear' : 'cheap' }}"
    steps[1]["on_reject"] = {"retry_from": "a"}
    handle = await tasks.start(steps)
    await until_state(handle, "waiting")
    await tell(handle, "decide", step="ok", action="reject", note="too dear")
    await effects.until("done", "cheap")
    await until_state(handle, "waiting")
    await tell(handle, "decide", step="ok", action="approve")
    assert (await end_of(handle)).type == "completed"
    assert list(effects.effects()) == ["cheap", "cheap too"]


async def test_choices_are_the_actions(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(approval(choices=["red", "blue"]), output="${{ steps.ok.output.action }}")
    await until_state(handle, "waiting")
    assert "takes red, blue, not 'approve'" in await refusal_of(handle, "decide", step="ok", action="approve")
    await tell(handle, "decide", step="ok", action="blue")
    assert (await end_of(handle)).output == "blue"


@pytest.mark.parametrize(("default", "type_"), [(None, "SagaRolledBack"), ("approve", "completed")])
async def test_a_deadline_decides(tasks: Tasks, effects: Desk, default: str | None, type_: str) -> None:
    keys = {"deadline": "200ms"} | ({"default": default} if default else {})
    handle = await tasks.start(approval(**keys))
    end = await end_of(handle)
    assert end.type == type_
    (decided,) = (await handle.query("board"))["decisions"]
    assert (decided["by"], decided["action"]) == ("counterstep", default or "reject")
    assert decided["default"] == decided["action"]
    assert decided["since"] < decided["deadline"] <= decided["at"]
    assert bool(effects.effects()) == (type_ == "completed")


async def test_a_cancel_in_an_approval(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(approval())
    await until_state(handle, "waiting")
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"
    assert effects.effects() == {}


# --- events


def event(**keys: Any) -> list[dict[str, Any]]:
    wait = {"event": "paid", "where": "event.order == task.order", **keys}
    return [
        put("a"),
        {"id": "paid", "needs": ["a"], "wait": wait},
        put("b", what="${{ steps.paid.output.by }}"),
    ]


async def test_an_event_lets_the_task_go_on(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(event(), {"order": 7})
    await effects.until("done", "a")
    await handle.signal("event", {"name": "paid", "payload": {"order": 8, "by": "bob"}})
    await handle.signal("event", {"name": "shipped", "payload": {"order": 7, "by": "bob"}})
    await handle.signal("event", {"name": "paid", "payload": None})
    await handle.signal("event", "nonsense")
    board = await handle.query("board")
    assert board["steps"]["paid"]["state"] in ("pending", "waiting")
    await handle.signal("event", {"name": "paid", "payload": {"order": 7, "by": "carl"}})
    assert (await end_of(handle)).type == "completed"
    assert list(effects.effects()) == ["a", "carl"]
    log = [line["what"] for line in (await handle.query("board"))["log"]]
    assert "sends an event that cannot be read" in log


async def test_an_event_may_come_first_and_twice(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(event(), {"order": 7})
    for _ in range(2):
        await handle.signal("event", {"name": "paid", "payload": {"order": 7, "by": "x"}, "id": "e1"})
    assert (await end_of(handle)).type == "completed"
    log = [line["what"] for line in (await handle.query("board"))["log"]]
    assert log.count("event paid") == 1


async def test_an_event_that_does_not_come_fails_the_step(tasks: Tasks, effects: Desk) -> None:
    end = await tasks.run(event(deadline="200ms"), {"order": 7})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Timeout")
    assert "the event paid has not come within 200ms" in end.failure["message"]
    assert effects.effects() == {}


async def test_a_wait_for_a_while_and_a_cancel_in_it(tasks: Tasks, effects: Desk) -> None:
    steps = [put("a"), {"id": "nap", "needs": ["a"], "wait": {"time": "300ms"}}, put("b", "nap")]
    assert (await tasks.run(steps)).type == "completed"
    steps[1]["wait"] = {"time": "2h"}
    handle = await tasks.start(steps)
    await until_step(handle, "nap", "waiting")
    shown = (await handle.describe()).typed_search_attributes
    assert (shown.get(SAGA_STATE), shown.get(SAGA_STEP)) == ("waiting", "nap")
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"
    shown = (await handle.describe()).typed_search_attributes
    assert (shown.get(SAGA_STATE), shown.get(SAGA_STEP)) == ("cancelled", None)


async def test_events_travel_into_a_continued_run(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_size, "LONG_EVENTS", 30)
    chain = [put("a"), *(put(name, before) for before, name in zip("abcdefg", "bcdefgh", strict=True))]
    wait = {"id": "paid", "needs": ["h"], "wait": {"event": "paid"}}
    handle = await tasks.start([*chain, wait])
    await handle.signal("event", {"name": "paid", "id": "e1"})
    assert (await end_of(handle)).type == "completed"


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ({"wait": {}}, "steps[0].wait: wait for exactly one of event and time"),
        ({"wait": {"time": "1s", "deadline": "1s"}}, "steps[0].wait: deadline belong to an event"),
        ({"wait": {"event": "x", "where": "output.x"}}, "output.x can be read in a validation only"),
        ({"approve": {"ask": "?", "default": "approve"}}, "default is what counts after the deadline"),
        ({"approve": {"ask": "?", "deadline": "1s", "default": "maybe"}}, "the default 'maybe' is none of"),
        ({"approve": {"ask": "?"}, "tool": "desk.look"}, "not tool and approve together"),
        ({"approve": {"ask": "?"}, "retry": {"attempts": 2}}, "approve has no retry; it only waits"),
    ],
)
async def test_faults(tasks: Tasks, effects: Desk, step: dict[str, Any], fault: str) -> None:
    end = await tasks.run([{"id": "s", **step}])
    assert end.type == "InvalidSpec"
    assert fault in end.message


async def test_an_answer_after_turns_in_which_nothing_happened(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    """Here a replay sees other turns than the worker that took the answer, which must make no difference."""
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([desk], inline_specs=True)])
    tasks = Tasks(client, task_queue)
    steps = [
        {"id": "x", "approve": {"ask": "x"}},
        {"id": "s", "wait": {"time": "1s"}},
        {"id": "t", "wait": {"time": "2s"}},
        {"id": "z", "needs": ["t"], "approve": {"ask": "z"}},
    ]
    async with Worker(client, task_queue=task_queue):
        handle = await tasks.start(steps)
        await until_step(handle, "z", "waiting")
    async with Worker(client, task_queue=task_queue):
        await tell(handle, "decide", step="x", action="approve")
    async with Worker(client, task_queue=task_queue):
        await tell(handle, "decide", step="z", action="approve")
        assert (await end_of(handle)).type == "completed"
