"""Tasks as an A2A agent: the official client drives them to their end, over restarts of the server."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import jwt
import pytest
from a2a.client import A2ACardResolver
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidParamsError, TaskNotFoundError, UnsupportedOperationError
from a2a.utils.signing import create_signature_verifier
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.json_format import MessageToDict
from temporalio.client import Client as Temporal

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.foreign.a2a_agent import calling, message, sent, serving, state
from counterstep.tests.support.foreign.served import Orders
from counterstep.tests.support.processes.watching import until

CHEAP = {"sku": "pen", "usd": 5}
DEAR = {"sku": "pen", "usd": 50}


def question_of(task: pb.Task) -> dict[str, Any]:
    """What a task asks."""
    return dict(MessageToDict(task.status.message.parts[1].data))


def was_told(store: Path) -> bool:
    """Whether the agent has kept what it sent last: where it dies before, it sends that again."""
    with closing(sqlite3.connect(store, timeout=20)) as db:
        return any(told for (told,) in db.execute("select told from push"))


async def test_a_message_starts_a_task_once_and_gets_its_output(
    server: EmbeddedServer, worker: str, orders: Orders
) -> None:
    async with serving(server.address, worker) as agent, calling(agent.url) as client:
        events = await sent(client, message(CHEAP, id=f"m-{worker}"))
        [artifact] = [event.artifact_update for event in events if event.HasField("artifact_update")]
        assert state(events[-1]) == "completed"
        assert MessageToDict(artifact.artifact.parts[0].data) == {"paid": "pay 5"}
        first = events[0].task
        [again] = await sent(client, message(CHEAP, id=f"m-{worker}", context_id=first.context_id))
        assert (again.task.id, state(again)) == (first.id, "completed")
        with pytest.raises(InvalidParamsError, match="in use with another input"):
            await sent(client, message({**CHEAP, "usd": 6}, id=f"m-{worker}"))
        got = await client.get_task(pb.GetTaskRequest(id=first.id))
        assert MessageToDict(got.artifacts[0].parts[0].data) == {"paid": "pay 5"}
        listed = await client.list_tasks(pb.ListTasksRequest(context_id=first.context_id))
        assert [(task.id, state(task)) for task in listed.tasks] == [(first.id, "completed")]
        with pytest.raises(UnsupportedOperationError, match="has ended"):
            [event async for event in client.subscribe(pb.SubscribeToTaskRequest(id=first.id))]
    assert orders.rows() == [("reserve pen", "done"), ("pay 5", "done")]


@pytest.mark.long
async def test_an_approval_is_answered_after_the_server_was_killed(
    server: EmbeddedServer, worker: str, orders: Orders
) -> None:
    async with serving(server.address, worker) as agent:
        async with calling(agent.url) as client:
            events = await sent(client, message(DEAR))
            id = events[0].task.id
            assert state(events[-1]) == "input_required"
        await agent.kill()
        await agent.start()
        async with calling(agent.url) as client:
            stream = client.subscribe(pb.SubscribeToTaskRequest(id=id))
            first = await anext(stream)
            assert first.task.status.message.parts[0].text == "Pay 50?"
            question = question_of(first.task)
            with pytest.raises(InvalidParamsError, match="has to name the `hash`"):
                await sent(client, message({"action": "approve"}, task_id=id))
            yes = {"action": "approve", "hash": question["hash"]}
            with pytest.raises(InvalidParamsError, match="Refused"):
                await sent(client, message({**yes, "hash": "0" * 64}, task_id=id))
            assert orders.rows() == [("reserve pen", "done")]
            listed = await client.list_tasks(
                pb.ListTasksRequest(
                    context_id=first.task.context_id, status=pb.TaskState.TASK_STATE_INPUT_REQUIRED
                )
            )
            assert [task.id for task in listed.tasks] == [id]
            for _ in range(2):  # an answer that is sent again counts once, and is told the same
                answered = await sent(client, message(yes, task_id=id, id="yes"))
                assert state(answered[-1]) == "completed"
            rest = [event async for event in stream]
            assert state(rest[-1]) == "completed"
            assert any(event.HasField("artifact_update") for event in rest)
    assert orders.rows() == [("reserve pen", "done"), ("pay 50", "done")]


@pytest.mark.long
async def test_a_cancel_undoes_and_is_told_once_also_after_a_restart(
    server: EmbeddedServer, worker: str, orders: Orders, tmp_path: Path
) -> None:
    told: list[tuple[str | None, dict[str, Any]]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            told.append((self.headers["x-a2a-notification-token"], body["task"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    hook = HTTPServer(("127.0.0.1", 0), Hook)
    Thread(target=hook.serve_forever, daemon=True).start()
    place = f"127.0.0.1:{hook.server_port}"
    store = tmp_path / "push.sqlite"
    more = ("--push-store", str(store), "--push-host", place)
    async with serving(server.address, worker, *more) as agent:
        async with calling(agent.url) as client:
            id = (await sent(client, message(DEAR)))[0].task.id
            wanted = pb.TaskPushNotificationConfig(task_id=id, id="one", url=f"http://{place}/", token="t")
            await client.create_task_push_notification_config(wanted)
            bad = pb.TaskPushNotificationConfig(task_id=id, url="http://169.254.169.254/latest")
            with pytest.raises(InvalidParamsError, match="not sent to"):
                await client.create_task_push_notification_config(bad)
            kept = await client.list_task_push_notification_configs(
                pb.ListTaskPushNotificationConfigsRequest(task_id=id)
            )
            assert [config.id for config in kept.configs] == ["one"]
            await until(lambda: was_told(store))
        await agent.kill()
        await agent.start()  # which knows that the question was told
        async with calling(agent.url) as client:
            assert state(await client.get_task(pb.GetTaskRequest(id=id))) == "input_required"
        await agent.kill()
        temporal = await Temporal.connect(server.address)
        await temporal.get_workflow_handle(id).cancel()
        await agent.start()
        async with calling(agent.url) as client:
            ended = await client.cancel_task(pb.CancelTaskRequest(id=id))
        await until(lambda: len(told) == 2)
    hook.shutdown()
    assert state(ended) == "canceled"
    assert question_of(ended)["undone"] == ["reserve"]
    assert orders.rows() == [("reserve pen", "undone")]
    states = [(token, task["status"]["state"]) for token, task in told]
    assert states == [("t", "TASK_STATE_INPUT_REQUIRED"), ("t", "TASK_STATE_CANCELED")]
    assert store.stat().st_mode & 0o077 == 0


async def test_callers_are_known_and_see_their_own_tasks(
    server: EmbeddedServer, worker: str, orders: Orders, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann ann-has-a-long-token\nbob bob-has-a-long-token # the other one\n")
    key = tmp_path / "card.jwk"
    key.write_text(
        jwt.algorithms.OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=False)[:-1] + ', "kid": "k"}'
    )
    more = ("--tokens", str(tokens), "--sign-key", str(key))
    async with serving(server.address, worker, *more) as agent:
        async with httpx.AsyncClient() as bare:
            public = jwt.PyJWKSet.from_dict((await bare.get(f"{agent.url}/.well-known/jwks.json")).json())
            verifier = create_signature_verifier(lambda kid, _: public[str(kid)], ["EdDSA"])
            await A2ACardResolver(bare, agent.url).get_agent_card(signature_verifier=verifier)
            card = (await bare.get(f"{agent.url}/.well-known/agent-card.json")).json()
            assert card["securitySchemes"]["bearer"]["httpAuthSecurityScheme"]["scheme"] == "Bearer"
            for headers in ({}, {"authorization": "Bearer guessed-token-of-ann"}):
                refused = await bare.get(f"{agent.url}/tasks", headers=headers)
                assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        async with (
            calling(agent.url, "ann-has-a-long-token", "HTTP+JSON") as ann,
            calling(agent.url, "bob-has-a-long-token") as bob,
        ):
            events = await sent(ann, message({"task": "served.order", "input": CHEAP}))
            id = events[0].task.id
            assert state(events[-1]) == "completed"
            for request in (
                bob.get_task(pb.GetTaskRequest(id=id)),
                bob.cancel_task(pb.CancelTaskRequest(id=id)),
            ):
                with pytest.raises(TaskNotFoundError) as others:
                    await request
                with pytest.raises(TaskNotFoundError) as nobodys:
                    await bob.get_task(pb.GetTaskRequest(id=f"{id}0"))
                assert str(others.value) == str(nobodys.value).replace(f"{id}0", id)
            assert not (await bob.list_tasks(pb.ListTasksRequest())).tasks
            assert [task.id for task in (await ann.list_tasks(pb.ListTasksRequest())).tasks] == [id]
    assert orders.rows() == [("reserve pen", "done"), ("pay 5", "done")]


@pytest.mark.long
async def test_what_cannot_be_done_is_one_sentence(
    server: EmbeddedServer, worker: str, orders: Orders, tmp_path: Path
) -> None:
    async with serving(server.address, worker) as agent, calling(agent.url) as client:
        for said, reason in (
            ({"usd": "x", "colour": "red"}, "sku"),
            ({"task": "served.ordr", "input": CHEAP}, "sku"),
        ):
            with pytest.raises(InvalidParamsError, match=reason):
                await sent(client, message(said))
        named = message(CHEAP)
        named.metadata["task"] = "served.ordr"
        with pytest.raises(InvalidParamsError, match=r"did you mean 'served.order'"):
            await sent(client, named)
        with pytest.raises(TaskNotFoundError):
            await client.get_task(pb.GetTaskRequest(id="no-such-task"))
        negative = message(CHEAP)
        negative.configuration.history_length = -1
        for request in (
            sent(client, negative),
            client.get_task(pb.GetTaskRequest(id="no-such-task", history_length=-1)),
            client.list_tasks(pb.ListTasksRequest(history_length=-1)),
        ):
            with pytest.raises(InvalidParamsError, match="history length must be non-negative"):
                await request
        async with httpx.AsyncClient() as bare:
            evil = await bare.post(agent.url, json={}, headers={"origin": "https://evil.example"})
            rebound = await bare.post(agent.url, json={}, headers={"host": "evil.example"})
            large = await bare.post(agent.url, content=b"x" * 1_000_001)
        assert [answer.status_code for answer in (evil, rebound, large)] == [403, 421, 413]
        bad = tmp_path / "key"
        bad.write_text("nonsense")
        refused = {
            f"127.0.0.1:{agent.port} cannot be opened: Address already in use.": [],
            "--sign-key: the signing key is not a private JWK": ["--sign-key", str(bad)],
            "Others can reach it: say who may call with --tokens or --jwks.": ["--host", "0.0.0.0"],
        }
        ended = await asyncio.gather(*(agent.refused(*words) for words in refused.values()))
        assert [said.count("\n") for said in ended] == [1, 1, 1]
        assert [sentence in said for sentence, said in zip(refused, ended, strict=True)] == [True] * 3
    assert orders.rows() == []
