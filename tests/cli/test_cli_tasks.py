"""Commands about tasks that run elsewhere: start, watch, result, list, graph."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client

from counterstep.cli.arguments.server_target import ServerTarget
from counterstep.cli.errors import CommandFailed
from counterstep.cli.operations import find_result, server_outage, watch_task
from counterstep.embedded import EmbeddedServer, ensure
from counterstep.testing.server import temporal_server
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.processes.command import Ended, Shop
from counterstep.tests.support.tasks.tasks import Tasks, until_state, until_step
from counterstep.tests.support.tasks.work import put, step

TIDY = ("desk.tidy", "--input", "what=cup")
FAILS = {"name": "fails", "steps": [put("one"), put("two", "one", fail="final")]}
HOLDS = {"name": "holds", "steps": [put("one"), step("two", "desk.look", "one", delay=HELD)]}
ASKS = {"name": "asks", "steps": [{"id": "may_i", "approve": {"ask": "May I?"}}]}

Command = Callable[..., Awaitable[Ended]]


@pytest.fixture
def id() -> str:
    return f"cli-{uuid4()}"


@pytest.fixture
async def command(server: EmbeddedServer, tasks: Tasks, tmp_path: Path) -> Command:
    """Runs commands against the tests' server; the worker of their queue is in this process."""
    shop = Shop.open(tmp_path, TEMPORAL_ADDRESS=server.address, COUNTERSTEP_TASK_QUEUE=tasks.task_queue)
    for spec in (FAILS, HOLDS, ASKS):
        (tmp_path / f"{spec['name']}.json").write_text(json.dumps(spec))

    async def run(*arguments: str) -> Ended:
        return await asyncio.to_thread(shop.run, *arguments)

    return run


# --- start


async def test_start_starts_once_and_says_where(command: Command, effects: Desk, id: str) -> None:
    first, second = await asyncio.gather(
        command("start", *TIDY, "--id", id, "--json"), command("start", *TIDY, "--id", id, "--json")
    )
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert sorted([first.json.pop("is_new"), second.json.pop("is_new")]) == [False, True]
    assert {first.json["workflow_id"], second.json["workflow_id"]} == {id}
    assert first.json["run_id"] == second.json["run_id"]
    assert f"{id} (run {first.json['run_id']})" in first.err
    assert "It had been started before, with the same input" in first.err + second.err
    other = await command("start", "desk.tidy", "--input", "what=plate", "--id", id)
    assert (other.code, other.out) == (2, "")
    assert f"The id {id!r} is in use with another input; use another id." in other.err
    waited = await command("result", id, "--wait")
    assert (waited.code, json.loads(waited.out)) == (0, {"on_desk": "cup"})
    assert list(effects.effects()) == ["cup"]


async def test_start_checks_with_a_bundle_and_leaves_it_to_the_workers_without(
    command: Command, effects: Desk, id: str
) -> None:
    bundle = ("--bundle", "counterstep.tests.support.bundles.desk:desk")
    checked = await command("start", "desk.tidy", *bundle, "--json")
    assert (checked.code, checked.json["failure"]["type"]) == (2, "InvalidSpec")
    assert "input: 'what' is missing" in checked.err
    assert (await command("start", "desk.tidy", "--id", id)).code == 0
    refused = await command("result", id, "--wait", "--json")
    assert (refused.code, refused.json["failure"]["type"]) == (2, "InvalidInput")
    assert "Refused by the worker; nothing was done." in refused.err


async def test_start_says_that_nobody_is_there(command: Command, client: Client, id: str) -> None:
    started = await command("start", *TIDY, "--id", id, "--task-queue", f"nobody-{id}")
    assert started.code == 0
    assert f"No worker polls its queue 'nobody-{id}': it waits there for one. Start one:" in started.err
    watched = await command("watch", id)
    assert watched.code == 4
    assert f"{id} waits there for one. Start one: counterstep worker" in watched.err
    drawn = await command("graph", "--id", id)
    assert (drawn.code, drawn.out) == (4, "")
    assert "The steps, only a worker can tell." in drawn.err
    await client.get_workflow_handle(id).terminate()


# --- watch and result


async def test_watch_and_result_end_as_run_does(command: Command, effects: Desk, id: str) -> None:
    assert (await command("start", "fails.json", "--id", id)).code == 0
    watched = await command("watch", id, "--json")
    assert (watched.code, watched.json["state"], watched.json["undone"]) == (1, "rolled_back", ["two", "one"])
    assert "one: undone" in watched.err
    result = await command("result", id, "--json")
    assert (result.code, result.json) == (1, watched.json)
    bare = await command("result", id)
    assert (bare.code, bare.out) == (1, "")
    assert "rolled back" in bare.err
    assert "because of step 'two'" in bare.err


async def test_what_waits_for_nobody_is_watched_to_its_end(command: Command, id: str, tmp_path: Path) -> None:
    spec = {"name": "naps", "steps": [{"id": "nap", "wait": {"time": "2s"}}]}
    (tmp_path / "naps.json").write_text(json.dumps(spec))
    assert (await command("start", str(tmp_path / "naps.json"), "--id", id)).code == 0
    watched = await command("watch", id)
    assert watched.code == 0, watched.err
    assert "task waiting" in watched.err
    assert "when a person has decided" not in watched.err


async def test_what_has_not_ended_is_not_waited_for(
    command: Command, client: Client, effects: Desk, id: str
) -> None:
    await command("start", "asks.json", "--id", id)
    await until_state(client.get_workflow_handle(id), "waiting")
    result, watched = await asyncio.gather(command("result", id, "--json"), command("watch", id))
    assert (result.code, result.json["state"]) == (3, "waiting")
    assert f"{id} has not ended: it is waiting." in result.err
    assert f"counterstep result {id} --wait" in result.err
    assert (watched.code, watched.out) == (3, "")
    assert f"counterstep decide {id} may_i approve" in watched.err
    assert f"{id} goes on when a person has decided." in watched.err
    await client.get_workflow_handle(id).cancel()
    cancelled = await command("watch", id, "--json")
    assert (cancelled.code, cancelled.json["state"]) == (130, "cancelled")


async def test_ctrl_c_ends_the_watching_and_not_the_task(
    command: Command, server: EmbeddedServer, client: Client, effects: Desk, id: str, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, {"TEMPORAL_ADDRESS": server.address})
    await command("start", "holds.json", "--id", id)
    handle = client.get_workflow_handle(id)
    said = tmp_path / "watch.err"
    said.touch()
    watching = shop.start("watch", id, "--json", stderr=said)
    async with asyncio.timeout(60):
        while "two: started" not in said.read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    watching.send_signal(2)
    out, _ = await asyncio.to_thread(watching.communicate, timeout=60)
    assert (watching.returncode, json.loads(out)["state"]) == (130, "running")
    again = f"counterstep watch {id} --address {server.address}"
    assert f"{id} goes on; `{again}` shows it again." in said.read_text()
    assert (await handle.query("board"))["state"] == "running"
    picture = await command("graph", "--id", id)
    assert "  class s2 running" in picture.out
    assert "  class s1 completed" in picture.out
    await handle.terminate()


async def test_a_server_that_goes_away_is_waited_for_and_then_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], id: str
) -> None:
    """It is there again, on the same port, once; the second time it is not."""
    with temporal_server() as server:
        client = await Client.connect(server.address)
        await client.start_workflow("desk.tidy", {"what": "cup"}, id=id, task_queue="away")
        monkeypatch.setattr(watch_task, "has_workers", _somebody)
        monkeypatch.setattr("counterstep.cli.operations.task_watch.has_workers", _somebody)
        target = ServerTarget({"target_host": server.address})
        watching = asyncio.create_task(watch_task.watch_task(target, id))
        waiting = asyncio.create_task(find_result.find_result(target, id, wait=True))
        await _said(capsys, id)
        _kill(server)
        await _said(capsys, "does not answer any more; the task is kept there. Trying again for 60 s.")
        again = await asyncio.to_thread(ensure, server.folder, port=server.port, ui_port=server.ui_port)
        await _said(capsys, "It answers again.")
        monkeypatch.setattr(server_outage, "AWAY_SECONDS", 2.0)
        _kill(again)
        with pytest.raises(CommandFailed, match="has not answered for 2 s") as gone:
            async with asyncio.timeout(60):
                await watching
        with pytest.raises(CommandFailed, match=f"`counterstep result {id} --wait --address .*` goes on"):
            async with asyncio.timeout(60):
                await waiting
    assert (gone.value.code, gone.value.type) == (4, "ServerUnavailable")


# --- ended by force


async def test_a_task_that_was_ended_by_force_is_not_shown_as_running(
    command: Command, server: EmbeddedServer, client: Client, effects: Desk, id: str
) -> None:
    await command("start", "holds.json", "--id", id)
    handle = client.get_workflow_handle(id)
    await until_step(handle, "two", "running")
    await handle.terminate("by force")
    status, picture, before = await asyncio.gather(
        command("status", id, "--json"), command("graph", "--id", id), command("result", id, "--json")
    )
    board = status.json
    assert (board["state"], board["failure"]["type"]) == ("rollback_incomplete", "Terminated")
    assert (board["steps"]["one"]["state"], board["steps"]["two"]["state"]) == ("completed", "cancelled")
    assert board["steps"]["two"]["finished"] is not None
    assert "class s2 running" not in picture.out
    assert (board["forced_end"], board.get("recovery")) == ("terminated", None)
    assert (before.code, before.json["recovery"], before.json["forced_end"]) == (3, None, "terminated")
    assert "rollback incomplete, terminated" in before.err
    assert set(before.json["not_undone"]) >= {"one"}
    recover = f"counterstep recover {id} --address {server.address}"
    assert f"Undo it: {recover}\n" in before.err
    effects.release("two")
    recovered = await command(*shlex.split(recover)[1:], "--json")
    assert recovered.code == 0, recovered.err
    after, status, shown = await asyncio.gather(
        command("result", id, "--json"), command("status", id, "--json"), command("status", id)
    )
    told = {"workflow_id": recovered.json["recovery_id"], "state": "completed", "undone": ["one"]}
    assert (status.json["forced_end"], status.json["recovery"]) == ("terminated", told)
    assert "The task was ended by force: it has been terminated." in shown.err
    assert f"undone since, by {told['workflow_id']}: 1 step: one" in shown.err
    listed = await command("list", "--query", f'WorkflowId = "{id}"', "--json")
    assert [(row["state"], row["recovery"]) for row in listed.json] == [("rollback_incomplete", "completed")]
    assert (after.code, after.json["recovery"]["state"]) == (3, "completed")
    assert f"undone since, by {recovered.json['recovery_id']}: " in after.err
    assert "NOT undone" not in after.err
    assert effects.effects() == {}


# --- list


async def test_list_finds_by_state_name_and_filter(
    command: Command, client: Client, tasks: Tasks, effects: Desk
) -> None:
    label = f"list-{uuid4()}"
    mine = ("--query", f'WorkflowId STARTS_WITH "{label}"')
    for name, source in (("1-fails", "fails.json"), ("2-asks", "asks.json"), ("3-tidy", "desk.tidy")):
        more = ("--input", "what=cup") if source == "desk.tidy" else ()
        await command("start", source, *more, "--id", f"{label}-{name}")
    for name, state in (("1-fails", "rolled_back"), ("2-asks", "waiting"), ("3-tidy", "completed")):
        await until_state(client.get_workflow_handle(f"{label}-{name}"), state)
    async with asyncio.timeout(60):
        while True:  # the server shows it a little later
            rows = (await command("list", *mine, "--json")).json
            if {row["state"] for row in rows} == {"waiting", "completed", "rolled_back"}:
                break
    assert rows[0]["state"] == "waiting"
    assert {(row["task"], row["state"], row["step"]) for row in rows} == {
        ("desk.tidy", "completed", ""),
        ("asks", "waiting", "may_i"),
        ("fails", "rolled_back", ""),
    }
    some = await command("list", *mine, "--state", "waiting", "--state", "rolled_back", "--limit", "1")
    assert (some.code, some.out) == (0, "")
    assert f"{label}-2-asks" in some.err
    assert f"{label}-1-fails" not in some.err
    assert "There are more; --limit shows them (it is 1)." in some.err
    assert [row["task"] for row in (await command("list", *mine, "--task", "asks", "--json")).json] == [
        "asks"
    ]
    none = await command("list", *mine, "--task", 'no "such" task', "--json")
    assert (none.code, none.json) == (0, [])
    assert "No such task." in none.err


async def test_list_shows_what_was_ended_by_force_as_what_it_is(
    command: Command, client: Client, tasks: Tasks
) -> None:
    """The server leaves `SagaState` as it was: waiting."""
    label = f"forced-{uuid4()}"
    mine = ("--query", f'WorkflowId STARTS_WITH "{label}"', "--json")
    for name in ("asks", "terminated"):
        await command("start", "asks.json", "--id", f"{label}-{name}")
        await until_state(client.get_workflow_handle(f"{label}-{name}"), "waiting")
    await client.get_workflow_handle(f"{label}-terminated").terminate()
    async with asyncio.timeout(60):
        while True:  # the server shows it a little later
            rows = (await command("list", *mine)).json
            if [row["status"] for row in rows] == ["running", "terminated"]:
                break
    assert [row["state"] for row in rows] == ["waiting", "rollback_incomplete"]
    waiting, incomplete = await asyncio.gather(
        command("list", *mine, "--state", "waiting"), command("list", *mine, "--state", "rollback_incomplete")
    )
    assert [row["workflow_id"] for row in waiting.json] == [f"{label}-asks"]
    assert [row["workflow_id"] for row in incomplete.json] == [f"{label}-terminated"]
    await client.get_workflow_handle(f"{label}-asks").terminate()


async def test_list_says_what_is_wrong(command: Command, client: Client) -> None:
    bad = await command("list", "--query", "this is not a filter")
    assert (bad.code, bad.out) == (2, "")
    assert "The Temporal server refuses" in bad.err
    state = await command("list", "--state", "broken")
    assert state.code == 2
    assert "needs_attention" in state.err


# --- unknown ids


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("watch",),
        ("result",),
        ("cancel",),
        ("graph", "--id"),
        ("recover",),
        ("resolve", "STEP", "retry"),
        ("decide", "STEP", "approve"),
        ("approve", "STEP"),
        ("reject", "STEP"),
        ("amend", "a=1"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_unknown_id_is_one_clear_sentence(
    server: EmbeddedServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    name, *rest = arguments
    option = [rest.pop(0)] if rest[:1] == ["--id"] else []
    shop = Shop(tmp_path, {"TEMPORAL_ADDRESS": server.address})
    done = shop.run(name, *option, "nobody", *rest)
    assert (done.code, done.out) == (2, "")
    assert done.err == "There is no task 'nobody' in the namespace 'default'.\n"


async def _somebody(*_: Any) -> bool:
    return True


async def _said(capsys: pytest.CaptureFixture[str], text: str) -> None:
    said = ""
    async with asyncio.timeout(60):
        while text not in said:
            said += capsys.readouterr().err
            await asyncio.sleep(0.02)


def _kill(server: EmbeddedServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
