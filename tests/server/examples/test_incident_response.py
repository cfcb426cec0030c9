"""The example `incident_response`: its file, its processes and its rows, however an incident ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.processes.demos import play_demo
from counterstep.tests.support.processes.incident_worker import client_of, work_on_incidents
from counterstep.tests.support.processes.watching import alive
from counterstep.tests.support.processes.worker_process import worker_process
from examples.incident_response import demo, script
from examples.incident_response.checkout_site import DATABASE, Site, short_hash, site
from examples.incident_response.demo import Look, look
from examples.incident_response.tools import PAUSE_VARIABLE

pytestmark = pytest.mark.long

ALARM = "Customers get errors."


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A service that runs, and has an incident; no process of it may be left behind."""
    monkeypatch.setenv("INCIDENT_HOME", str(tmp_path / "incident"))
    where = site("")
    where.set_up()
    try:
        yield where
    finally:
        pids = [node.pid() for node in where.nodes()]
        where.tear_down()
        assert [pid for pid in pids if pid is not None and alive(pid)] == []


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """Plays the models as the demo does."""
    with ModelServer.in_thread() as models:
        models.default = script.answer
        for name, value in models.environment.items():
            monkeypatch.setenv(name, value)
        yield models


@asynccontextmanager
async def working(address: str, task_queue: str) -> AsyncIterator[Client]:
    client = await client_of(address)
    async with Worker(client, task_queue=task_queue):
        yield client


async def start(client: Client, task_queue: str, environment: str) -> WorkflowHandle[Any, Any]:
    return await client.start_workflow(
        "incident.respond",
        {"alarm": ALARM, "environment": environment},
        id=f"incident-{uuid4().hex}",
        task_queue=task_queue,
    )


async def decide(handle: WorkflowHandle[Any, Any], action: str) -> None:
    """Answers, as a person, the first question that the task asks."""
    asked: list[dict[str, Any]] = []
    while not asked:
        with suppress(RPCError):  # a worker imports its model client before it answers
            asked = (await handle.query("board", rpc_timeout=timedelta(seconds=5)))["waiting_for"]
        await asyncio.sleep(0.05)
    answer = {"step": asked[0]["step"], "action": action, "by": "eve", "hash": asked[0]["hash"]}
    await handle.execute_update("decide", answer)


async def until_restarted(where: Site, node: str) -> None:
    """Waits until another process runs on a node than at first."""
    while True:
        now = await asyncio.to_thread(where.node(node).running)
        if now is not None and now.instance != "first":
            return
        await asyncio.sleep(0.05)


def is_as_before(after: Look, before: Look) -> bool:
    """Whether file and nodes are as they were; a node that was restarted and put back has another pid."""
    return (after.config, after.nodes) == (before.config, before.nodes)


def changes(seen: Look) -> list[tuple[str, str]]:
    return [(what, state) for step, what, state in seen.rows["operations"] if step == "heal"]


GUESSED = [("checkout-2: drained", "undone"), ("checkout-1: 4 -> 8 workers", "undone")]


async def test_a_wrong_guess_is_undone_and_the_next_one_heals_when_a_person_has_said_yes(
    server: EmbeddedServer, task_queue: str, where: Site, models: ModelServer
) -> None:
    async with working(server.address, task_queue) as client:
        handle = await start(client, task_queue, "production")
        before = await asyncio.to_thread(look, where, handle.id)
        await decide(handle, "approve")
        result = await handle.result()
    after = await asyncio.to_thread(look, where, handle.id)
    assert changes(after) == [*GUESSED, ("POOL_SIZE: 1 -> 8", "done"), ("nodes restarted", "done")]
    assert after.config == before.config.replace("POOL_SIZE=1", "POOL_SIZE=8")
    assert after.is_healthy
    assert not before.is_healthy
    for name, runs in after.nodes.items():
        assert f"4 workers, settings sha256 {short_hash(after.config)}" in runs
        old, new = before.pids[name], after.pids[name]
        assert old and new and old != new
        assert (alive(old), alive(new)) == (False, True)
    assert result["output"]["changed"] == ["POOL_SIZE: 1 -> 8", "nodes restarted"]
    assert [row[-1] for row in after.rows["tickets"]] == ["resolved"]


def _liar(body: Mapping[str, Any]) -> Behaviour:
    """Says that all is well, without a look."""
    if "Say whether" not in str(body["messages"]):
        return script.answer(body)
    word = {"done": True, "progress": True, "in_loop": False, "next": None, "instruction": ""}
    return Behaviour.json({**word, "reason": "it looks fine"})


async def test_what_the_team_claims_counts_for_nothing_where_the_service_says_otherwise(
    server: EmbeddedServer, task_queue: str, where: Site, models: ModelServer
) -> None:
    models.default = _liar
    async with working(server.address, task_queue) as client:
        handle = await start(client, task_queue, "production")
        before = await asyncio.to_thread(look, where, handle.id)
        with pytest.raises(WorkflowFailureError) as ended:
            await handle.result()
    assert "the service is not healthy: checkout-1" in str(ended.value.cause)
    after = await asyncio.to_thread(look, where, handle.id)
    assert is_as_before(after, before)
    assert after.pids == before.pids
    assert [row[-1] for row in after.rows["tickets"]] == ["withdrawn"]


@pytest.mark.slow
@pytest.mark.parametrize("why", ["the database is slow", "a person says no"])
async def test_where_nothing_helps_file_and_processes_are_as_before(
    server: EmbeddedServer, task_queue: str, where: Site, models: ModelServer, why: str
) -> None:
    refused = why == "a person says no"
    if not refused:
        where.set_up(DATABASE)
    async with working(server.address, task_queue) as client:
        handle = await start(client, task_queue, "production" if refused else "staging")
        before = await asyncio.to_thread(look, where, handle.id)
        if refused:
            await decide(handle, "reject")
        with pytest.raises(WorkflowFailureError) as ended:
            await handle.result()
    assert "the team does not get on, and has planned anew once" in str(ended.value.cause)
    after = await asyncio.to_thread(look, where, handle.id)
    assert is_as_before(after, before)
    assert (where.folder / "checkout.env").read_bytes() == before.config.encode()
    tried = [] if refused else [("nodes restarted", "undone")]
    setting = "POOL_SIZE: 1 -> 8" if refused else "BASKET_CACHE: on -> off"
    assert changes(after) == [*GUESSED, (setting, "undone"), *tried]
    assert (after.pids == before.pids) is refused
    gone = [pid for name, pid in before.pids.items() if pid and pid != after.pids[name]]
    assert [pid for pid in gone if alive(pid)] == []


@pytest.mark.slow
@pytest.mark.parametrize("then", ["it goes on", "it is cancelled"])
async def test_a_worker_is_killed_between_the_restarts_of_two_nodes(
    server: EmbeddedServer,
    task_queue: str,
    where: Site,
    models: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    then: str,
) -> None:
    first, second = (node.name for node in where.nodes())
    client = await client_of(server.address)
    monkeypatch.setenv(PAUSE_VARIABLE, "60")
    with worker_process(server.address, task_queue, work_on_incidents) as worker:
        handle = await start(client, task_queue, "staging")
        before = await asyncio.to_thread(look, where, handle.id)
        await until_restarted(where, first)
        worker.kill()
        worker.wait()
    between = await asyncio.to_thread(look, where, handle.id)
    assert changes(between) == [*GUESSED, ("POOL_SIZE: 1 -> 8", "done"), ("nodes restarted", "done")]
    assert between.config == before.config.replace("POOL_SIZE=1", "POOL_SIZE=8")
    assert between.pids[first] != before.pids[first]
    assert between.pids[second] == before.pids[second]
    assert [row[-1] for row in between.rows["tickets"]] == ["open"]

    monkeypatch.delenv(PAUSE_VARIABLE)
    if then == "it is cancelled":
        await handle.cancel()
    with worker_process(server.address, task_queue, work_on_incidents):
        if then == "it goes on":
            await handle.result()
        else:
            with pytest.raises(WorkflowFailureError):
                await handle.result()
    after = await asyncio.to_thread(look, where, handle.id)
    if then == "it goes on":
        assert changes(after) == changes(between)
        assert (after.config, after.is_healthy) == (between.config, True)
        assert after.pids[first] == between.pids[first]  # it is not restarted once more
        assert after.pids[second] != before.pids[second]
        assert [row[-1] for row in after.rows["tickets"]] == ["resolved"]
    else:
        assert changes(after) == [(what, "undone") for what, _ in changes(between)]
        assert is_as_before(after, before)
        assert [row[-1] for row in after.rows["tickets"]] == ["withdrawn"]
    old = {*before.pids.values(), *between.pids.values()} - {*after.pids.values()}
    assert [pid for pid in old if pid and alive(pid)] == []


@pytest.mark.slow
def test_the_demo_shows_file_processes_and_rows_of_all_scenes(tmp_path: Path) -> None:
    played = play_demo(
        "examples.incident_response.demo", tmp_path, "INCIDENT_", players="A script plays the agents"
    )
    for scene in demo.SCENES:
        assert scene.proof in played.stdout
