"""A webhook is told, signed, that a task waits, is reminded and is answered; it never holds a task up."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook as Verifier
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin, Webhook
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked, until_state

SECRET = f"whsec_{base64.b64encode(b'a secret of the tests').decode()}"
ASK = {"id": "q", "approve": {"ask": "Go on?", "remind": "300ms", "deadline": "1h"}}


class Receiver:
    """Takes notices, and answers with `answers` first."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.got: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.refused: list[str] = []

    async def take(self, request: web.Request) -> web.Response:
        body = await request.text()
        id_ = request.headers["webhook-id"]
        if self.answers:
            self.refused.append(id_)
            return web.Response(status=self.answers.pop(0))
        self.got.append(Verifier(SECRET).verify(body, dict(request.headers)))
        self.ids.append(id_)
        return web.Response()

    def types(self) -> list[str]:
        return [notice["type"] for notice in self.got]


@asynccontextmanager
async def serving(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def telling(server: EmbeddedServer, task_queue: str, url: str) -> AsyncIterator[Tasks]:
    webhook = Webhook(url, SECRET, "https://inbox.example.com/")
    client = await Client.connect(
        server.address, plugins=[CounterstepPlugin([desk], inline_specs=True, webhook=webhook)]
    )
    async with Worker(client, task_queue=task_queue):
        yield Tasks(client, task_queue)


async def test_what_is_waited_for_is_told_signed_and_again_where_it_was_refused(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    receiver = Receiver(500)
    async with serving(receiver) as url, telling(server, task_queue, url) as tasks:
        handle = await tasks.start([ASK])
        for _ in range(200):
            if {"task.waiting", "task.reminded"} <= set(receiver.types()):
                break
            await until_asked(handle, "q")
        await tell(handle, "decide", step="q", action="approve")
        assert (await end_of(handle)).type == "completed"
        assert "task.answered" in receiver.types(), "the end has waited for it"
    waiting = next(notice for notice in receiver.got if notice["type"] == "task.waiting")
    data = waiting["data"]
    assert (data["task_id"], data["task"], data["step"], data["kind"]) == (handle.id, "test", "q", "approve")
    assert data["actions"] == ["approve", "reject", "edit"]
    assert data["deadline"].startswith("20")
    assert data["link"] == f"https://inbox.example.com/tasks/{handle.id}?step=q"
    answered = next(notice for notice in receiver.got if notice["type"] == "task.answered")
    assert answered["data"]["answer"] == {"action": "approve", "by": "ann", "proven": False}
    assert set(receiver.refused) <= set(receiver.ids), "it was sent again under its own id"
    assert len(set(receiver.ids)) == len(receiver.ids)
    assert SECRET not in json.dumps((await handle.fetch_history()).to_json_dict())


async def test_a_webhook_that_is_away_neither_fails_nor_holds_a_task(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    async with telling(server, task_queue, "http://127.0.0.1:1/hook") as tasks:
        put = {"id": "a", "tool": "desk.put", "input": {"what": "a"}, "needs": ["q"]}
        handle = await tasks.start([{"id": "q", "approve": {"ask": "Go on?"}}, put])
        await until_asked(handle, "q")
        await tell(handle, "decide", step="q", action="approve")
        assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["a"]


async def test_a_stuck_undo_is_told_too(server: EmbeddedServer, task_queue: str, effects: Desk) -> None:
    receiver = Receiver()
    async with serving(receiver) as url, telling(server, task_queue, url) as tasks:
        put = {"id": "a", "tool": "desk.put", "input": {"what": "a", "undo": "broken"}}
        fails = {"id": "b", "needs": ["a"], "tool": "desk.put", "input": {"what": "b", "fail": "before"}}
        handle = await tasks.start([put, fails])
        await until_state(handle, "needs_attention")
        await tell(handle, "resolve", step="a", action="done")
        assert (await end_of(handle)).type == "SagaRolledBack"
    told = [(notice["type"], notice["data"]["kind"], notice["data"]["step"]) for notice in receiver.got]
    assert told == [("task.waiting", "undo", "a"), ("task.answered", "undo", "a")]


async def test_a_task_without_a_webhook_has_no_event_of_it(tasks: Tasks) -> None:
    handle = await tasks.start([{"id": "q", "approve": {"ask": "Go on?"}}])
    await until_asked(handle, "q")
    await tell(handle, "decide", step="q", action="approve")
    assert (await end_of(handle)).type == "completed"
    history = (await handle.fetch_history()).to_json()
    assert "counterstep.notify" not in history
    assert '"notify"' not in history
