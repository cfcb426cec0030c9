"""What people decide from the command line, and what `run` does while it is not decided."""

from __future__ import annotations

import asyncio
import getpass
import json
import shlex
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.processes.command import Ended, Shop, Terminal, until, until_written
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.tasks.work import put
from counterstep.tests.support.workflows.asks_person import AsksPerson

STEPS = [
    put("one", undo="broken"),
    put("two", undo="fail"),
    put("three", undo="fail"),
    put("fine"),
    put("last", "one", "two", "three", "fine", fail="final"),
]


@pytest.fixture
def shop(server: EmbeddedServer, tmp_path: Path) -> Shop:
    """A folder whose commands use the tests' server."""
    return Shop.open(tmp_path, TEMPORAL_ADDRESS=server.address)


@pytest.fixture
async def asks(client: Client, task_queue: str) -> AsyncIterator[WorkflowHandle[Any, Any]]:
    """A task that waits for a person, with a worker in this process."""
    async with asking_worker(client, task_queue):
        yield await client.start_workflow("AsksPerson", id=f"asks-{task_queue}", task_queue=task_queue)


def asking_worker(client: Client, task_queue: str) -> Worker:
    return Worker(
        client, task_queue=task_queue, workflows=[AsksPerson], workflow_runner=UnsandboxedWorkflowRunner()
    )


async def stuck_task(tasks: Tasks) -> WorkflowHandle[Any, Any]:
    """A task of which two undos are stuck and one is done."""
    handle = await tasks.start(STEPS)
    await until_asked(handle, 3)
    return handle


async def until_asked(handle: WorkflowHandle[Any, Any], questions: int) -> None:
    async with asyncio.timeout(30):
        while len((await handle.query("board"))["waiting_for"]) != questions:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def commands(shop: Shop, *arguments: tuple[str, ...]) -> list[Ended]:
    """Runs commands side by side, while this process goes on working."""
    return await asyncio.to_thread(shop.run_together, *arguments)


async def command(shop: Shop, *arguments: str) -> Ended:
    (ended,) = await commands(shop, arguments)
    return ended


# --- stuck undos


def test_run_leaves_a_stuck_undo_to_people_and_says_how_they_go_on(shop: Shop) -> None:
    """Each line that is printed is then typed, as it stands."""
    run = (
        "run",
        "fails.yaml",
        "--bundle",
        "shop:shop",
        "--input",
        "sku=stuck",
        "--id",
        f"jam-{shop.folder.name}",
    )
    left = shop.run(*run, "--json")
    assert left.code == 3, left.err
    assert (left.json["state"], left.json["undone"], left.json["not_undone"]) == (
        "needs_attention",
        ["second"],
        ["first"],
    )
    assert (left.json["failure"]["step"], left.json["workflow_id"]) == ("last", run[-1])
    assert "first: the undo shop.release is stuck: cannot be released" in left.err
    assert left.err.count("counterstep resolve ") == 3
    assert f"{run[-1]} is left running" in left.err
    (retry,) = typed(left.err, "retry")
    (worker_line,) = [line for line in left.err.splitlines() if "counterstep worker" in line]

    log = shop.folder / "worker.err"
    words = shlex.split(worker_line.partition("counterstep worker ")[2])
    worker = shop.start("worker", *words, stderr=log)
    try:
        until_written(log, "worker started")
        assert typed(shop.run("status", run[-1]).err, "retry") == [retry]
        (shop.folder / "unstuck").touch()
        resolved = shop.run(*retry, "--json")
        assert resolved.code == 0, resolved.err
        assert (resolved.json["step"], resolved.json["action"]) == ("first", "retry")
        ended = shop.run(*run, "--json")
        assert (ended.code, ended.json["state"], ended.json["not_undone"]) == (1, "rolled_back", [])
        assert ended.json["undone"] == ["second", "first"]
        assert shop.log()[-1] == "release stuck"
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0, log.read_text()


def typed(printed: str, action: str) -> list[list[str]]:
    """The printed commands with this action, as what follows the program's name."""
    lines = [
        shlex.split(line, comments=True) for line in printed.splitlines() if "counterstep resolve" in line
    ]
    return [words[1:] for words in lines if words[4] == action]


async def test_undone_again_by_hand_or_not_at_all(tasks: Tasks, effects: Desk, shop: Shop) -> None:
    handle = await stuck_task(tasks)
    effects.repair("one")
    retried = await command(shop, "resolve", handle.id, "one", "retry", "--by", "Ada")
    assert (retried.code, retried.out) == (0, "")
    assert f"{handle.id}: retry the undo of 'one', says Ada (a claim; nobody has checked it)." in retried.err
    await effects.until("undone", "one")

    done = await command(shop, "resolve", handle.id, "two", "done", "--note", "by hand", "--json")
    assert (done.code, done.json["step"], done.json["action"]) == (0, "two", "done")
    skip = ("resolve", handle.id, "three", "skip", "--note", "the customer keeps it", "--by", "Bob")
    skipped = await command(shop, *skip)
    assert skipped.code == 0, skipped.err
    end = await end_of(handle)
    assert (end.type, end.details["not_undone"]) == ("SagaRollbackIncomplete", ["three"])
    assert sorted(effects.effects()) == ["three", "two"], "nobody has really undone the second"
    assert effects.what("undo").count("two") == 1

    late, board, status = await commands(shop, skip, ("status", handle.id, "--json"), ("status", handle.id))
    assert (late.code, "it has ended (failed)" in late.err) == (2, True)
    log = [
        (line["who"], line["what"], line["why"]) for line in board.json["log"] if "resolve" in line["what"]
    ]
    assert log == [
        ("Ada", "resolve: retry", ""),
        (getpass.getuser(), "resolve: done", "by hand"),
        ("Bob", "resolve: skip", "the customer keeps it"),
    ]
    assert "skipped" in status.err
    assert "counterstep resolve" not in status.err


async def test_what_the_task_refuses_is_one_sentence_and_leaves_no_trace(
    tasks: Tasks, effects: Desk, shop: Shop
) -> None:
    handle = await stuck_task(tasks)
    length = (await handle.fetch_history()).events
    id = handle.id
    refused = {
        ("resolve", id, "onne", "retry"): "there is no step 'onne'; did you mean 'one'?",
        ("resolve", id, "one#2", "retry"): "there is no undo 'one#2'; did you mean 'one#1'?",
        ("resolve", id, "fine", "retry"): "no undo of 'fine' is stuck: undone",
        ("resolve", id, "one", "skip"): "skip leaves the effect as it is; say why in note",
        ("resolve", id, "one", "forget"): "'retry', 'skip', 'done'",
        ("resolve", id, "one", "done", "--by", ""): "by: ",
        ("decide", id, "one", "retry"): "'one' waits for nobody",
        ("approve", id, "fine"): "'fine' waits for nobody",
        ("reject", id, "nowhere"): "there is no step 'nowhere'",
    }
    ended = await commands(shop, *refused)
    for done, said in zip(ended, refused.values(), strict=True):
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Refused: ") and done.err.count("\n") == 1, done.err
        assert said in done.err
    assert len((await handle.fetch_history()).events) == len(length)
    await handle.terminate()


async def test_a_cancel_that_waits_does_not_wait_for_people(tasks: Tasks, effects: Desk, shop: Shop) -> None:
    waits = {"id": "waits", "tool": "desk.look", "input": {"fail": "yes"}, "retry": {"initial": "1h"}}
    handle = await tasks.start([*STEPS[:1], waits])
    await effects.until("done", "one")
    await effects.until("look", "")
    left = await command(shop, "cancel", handle.id, "--wait", "--json")
    assert left.code == 3, left.err
    assert (left.json["state"], left.json["not_undone"]) == ("needs_attention", ["one"])
    assert f"counterstep resolve {handle.id} 'one#1' done" in left.err
    assert f"{handle.id} needs a person's decision" in left.err
    await handle.terminate()


async def test_whether_a_pivot_was_applied_is_asked_and_answered(
    tasks: Tasks, effects: Desk, shop: Shop
) -> None:
    pivot = {"id": "ship", "tool": "desk.hand_over", "input": {"what": "parcel", "fail": "after"}}
    handle = await tasks.start([pivot])
    await until_asked(handle, 1)
    status = await command(shop, "status", handle.id)
    assert "ship: was desk.hand_over applied?" in status.err
    assert f"counterstep resolve {handle.id} ship applied --value JSON" in status.err
    (certainly,) = typed(status.err, "not_applied")
    refused = await command(shop, "resolve", handle.id, "ship", "applied", "--value", "{}")
    assert (refused.code, "what: is missing" in refused.err or "'what'" in refused.err) == (2, True), (
        refused.err
    )
    resolved = await command(shop, *certainly)
    assert resolved.code == 0, resolved.err
    assert (await end_of(handle)).type == "SagaRolledBack"


# --- answers and new facts


async def test_an_answer_reaches_the_task_as_it_was_said(asks: WorkflowHandle[Any, Any], shop: Shop) -> None:
    refused = await command(shop, "decide", asks.id, "book[2]", "refuse me")
    assert (refused.code, refused.err) == (2, "Refused: that is \\x1b[31mnonsense.\n")
    words = ("--value", '{"table": 4}', "--by", "Ada", "--note", "by phone")
    done = await command(shop, "decide", asks.id, "book[2]", "supply", *words, "--json")
    assert (done.code, done.json) == (0, {"decided": "supply"})
    assert await asks.result() == {
        "step": "book[2]", "action": "supply", "value": {"table": 4}, "by": "Ada", "note": "by phone",
    }  # fmt: skip


@pytest.mark.parametrize("action", ["approve", "reject"])
async def test_approve_and_reject_are_answers(
    asks: WorkflowHandle[Any, Any], shop: Shop, action: str
) -> None:
    done = await command(shop, action, asks.id, "book[2]")
    assert (done.code, done.out) == (0, ""), done.err
    told = {"step": "book[2]", "action": action, "by": getpass.getuser(), "note": ""}
    assert await asks.result() == told


async def test_new_facts_reach_the_task_with_their_types(asks: WorkflowHandle[Any, Any], shop: Shop) -> None:
    (shop.folder / "facts.yaml").write_text("late: 1\nroad: {closed: true}\n")
    words = ("late=2.5", "gate=B4", "--facts-file", "facts.yaml", "--invalidate", "a", "--invalidate", "b")
    done = await command(shop, "amend", asks.id, *words, "--by", "Ada", "--json")
    assert (done.code, done.json) == (0, {"affected": ["a", "b"]})
    assert "new facts late, road, gate; invalid: a, b, says Ada" in done.err
    assert "To be undone and done again: a, b." in done.err
    assert await asks.result() == {
        "facts": {"late": 2.5, "road": {"closed": True}, "gate": "B4"},
        "invalidates": ["a", "b"],
        "by": "Ada",
        "note": "",
    }


def test_what_cannot_be_meant_is_refused_without_a_server(shop: Shop) -> None:
    (shop.folder / "list.yaml").write_text("[1]")
    refused = {
        ("amend", "x"): "Name a new fact (NAME=VALUE or --facts-file), or a step with --invalidate.",
        ("amend", "x", "late"): "a fact: 'late' has another shape than NAME=VALUE",
        ("amend", "x", "a=1", "a=2"): "a fact a: is given twice",
        ("amend", "x", "--facts-file", "list.yaml"): "list.yaml: is not a mapping of facts",
        ("amend", "x", "--facts-file", "none.yaml"): "none.yaml: cannot be read",
        ("decide", "x", "a", "supply", "--value", "{1"): "--value: is not JSON",
        ("resolve", "x", "a", "applied", "--value", "text"): "text is written in double quotes",
        ("resolve", "x", "a"): "Missing argument",
        ("resolve", "x", "a", "retry", "--timeout", "0"): "Invalid value for '--timeout'",
    }
    ended = Shop(shop.folder, {"TEMPORAL_ADDRESS": "127.0.0.1:1"}).run_together(*refused)
    for done, said in zip(ended, refused.values(), strict=True):
        assert (done.code, done.out) == (2, "")
        assert said in done.err


async def test_nobody_to_tell(asks: WorkflowHandle[Any, Any], client: Client, shop: Shop) -> None:
    """No such task, one that has ended, one of somebody else's, one without workers, no server."""
    lonely = await client.start_workflow("AsksPerson", id=f"{asks.id}-lonely", task_queue="nobody here")
    gone = await client.start_workflow("AsksPerson", id=f"{asks.id}-gone", task_queue="nobody here")
    await gone.terminate()
    unknown, ended, other, nobody, no_server = await commands(
        shop,
        ("resolve", "never-started", "a", "retry"),
        ("resolve", gone.id, "a", "retry"),
        ("resolve", asks.id, "a", "retry"),
        ("amend", lonely.id, "late=1"),
        ("approve", "x", "a", "--address", "127.0.0.1:1"),
    )
    assert (unknown.code, ended.code, other.code, nobody.code, no_server.code) == (2, 2, 2, 4, 4)
    assert "There is no task 'never-started' in the namespace 'default'." in unknown.err
    assert f"{gone.id} takes no `resolve` any more: it has ended (terminated)." in ended.err
    assert f"{asks.id} takes no `resolve`: it is a workflow without that update" in other.err
    assert "No worker polls the queue 'nobody here', so nothing was sent. Start one" in nobody.err
    assert "counterstep worker --bundle MODULE:ATTRIBUTE --task-queue 'nobody here' --address" in nobody.err
    assert "No Temporal server can be used at 127.0.0.1:1" in no_server.err
    await lonely.terminate()


@pytest.mark.slow
async def test_a_worker_that_is_gone_is_waited_for_but_not_for_ever(
    client: Client, task_queue: str, shop: Shop
) -> None:
    """The server remembers a worker for a while, and an update too: a worker that starts takes it."""
    async with asking_worker(client, task_queue):
        handle = await client.start_workflow("AsksPerson", id=f"asks-{task_queue}", task_queue=task_queue)
        await handle.query("board")
    done = await command(shop, "approve", handle.id, "book[2]", "--timeout", "2")
    assert done.code == 4
    assert f"Nobody has accepted the `decide` of {handle.id} within 2 s" in done.err
    assert "A worker that starts now may still take it" in done.err
    assert f"--task-queue {shlex.quote(task_queue)} --address" in done.err
    async with asking_worker(client, task_queue), asyncio.timeout(30):
        assert (await handle.result())["action"] == "approve"


async def test_what_is_accepted_but_takes_long_is_told_apart(
    asks: WorkflowHandle[Any, Any], shop: Shop
) -> None:
    words = ("--value", '{"seconds": 3600}', "--timeout", "2")
    done = await command(shop, "decide", asks.id, "book[2]", "supply", *words)
    assert done.code == 4
    assert (
        f"{asks.id} has accepted the `decide`, and it is kept, but it is not carried out after 2 s"
        in done.err
    )
    await asks.terminate()


async def test_new_facts_undo_and_redo_what_they_affect(tasks: Tasks, effects: Desk, shop: Shop) -> None:
    late = {**put("hotel", "flight"), "when": "!has(facts.late) || facts.late < 5"}
    handle = await tasks.start([put("flight"), late, put("end", "hotel", delay=HELD)])
    await effects.until("begin", "end")
    nothing, amended, unknown = [
        await command(shop, "amend", handle.id, *words)
        for words in (("gate=B4",), ("late=9", "--note", "fog"), ("--invalidate", "hotle"))
    ]
    assert "No step is affected by it." in nothing.err
    assert "To be undone and done again: hotel, end." in amended.err
    assert (unknown.code, "there is no step 'hotle'; did you mean 'hotel'?" in unknown.err) == (2, True)
    effects.release("end")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("undone") == ["end", "hotel"]
    assert sorted(effects.effects()) == ["end", "flight"]


# --- a task that waits for a person, under `run`


async def test_run_leaves_a_task_when_nothing_else_goes_on_and_people_finish_it(
    tasks: Tasks, effects: Desk, shop: Shop
) -> None:
    """A step is escalated while another is at work; then its output is supplied."""
    steps = [{**put("asked", fail="final"), "on_failure": "escalate"}, put("beside", delay=HELD)]
    spec = {"name": "asking", "steps": steps, "output": "${{ steps.asked.output.what }}"}
    (shop.folder / "asking.json").write_text(json.dumps(spec))
    id = f"asking-{tasks.task_queue}"
    log = shop.folder / "run.err"
    run = ("run", "asking.json", "--id", id, "--task-queue", tasks.task_queue, "--json")
    runner = shop.start(*run, stderr=log)
    await effects.until("begin", "beside")
    decide = f"  counterstep decide {id} asked supply --value JSON --address"
    await asyncio.to_thread(until_written, log, decide)
    by_hand = {"what": "asked", "key": "made by hand"}
    bad = await command(shop, "decide", id, "asked", "supply", "--value", '{"what": 1}')
    assert bad.code == 2 and bad.err.startswith("Refused: "), bad.err
    assert runner.poll() is None, "what goes on beside the question is seen to its end"
    effects.release("beside")
    out, _ = await asyncio.to_thread(runner.communicate)
    assert (runner.returncode, json.loads(out)["state"]) == (3, "waiting")
    assert effects.what("done") == ["asked", "beside"]

    supplied = await command(shop, "decide", id, "asked", "supply", "--value", json.dumps(by_hand))
    assert supplied.code == 0, supplied.err
    ended = await command(shop, *run)
    assert (ended.code, ended.json["output"]) == (0, "asked")
    assert sorted(effects.effects()) == ["beside"], "what failed was undone before anybody was asked"
    again = await command(shop, "decide", id, "asked", "retry")
    assert (again.code, "it has ended (completed)" in again.err) == (2, True)


async def test_where_nobody_can_answer_run_leaves_a_waiting_task(
    asks: WorkflowHandle[Any, Any], task_queue: str, shop: Shop
) -> None:
    run = ("run", "AsksPerson", "--id", f"{asks.id}-run", "--task-queue", task_queue, "--json")
    done = await command(shop, *run)
    assert (done.code, done.json["state"], done.json["not_undone"]) == (3, "waiting", [])
    assert "book[2]: no table" in done.err
    assert f"  counterstep decide {run[3]} 'book[2]' retry --address" in done.err
    assert f"  counterstep decide {run[3]} 'book[2]' supply --value JSON --address" in done.err
    assert f"{run[3]} is left running" in done.err
    await asks.terminate()


async def test_at_a_terminal_run_waits_with_the_person(
    asks: WorkflowHandle[Any, Any], task_queue: str, shop: Shop
) -> None:
    id = f"{asks.id}-run"
    terminal = Terminal(shop, "run", "AsksPerson", "--id", id, "--task-queue", task_queue)
    answer = f"counterstep decide {id} 'book[2]' retry --address {shop.environment['TEMPORAL_ADDRESS']}"

    def told() -> bool:
        return terminal.shows("book[2]: no table") and "waiting" in terminal.seen and answer in terminal.seen

    await asyncio.to_thread(until, told, f"{answer} at the terminal")
    assert terminal.process.poll() is None
    decided = await command(shop, *shlex.split(answer)[1:])
    assert decided.code == 0, decided.err
    assert await asyncio.to_thread(terminal.close) == 0
    assert terminal.seen.count(answer) == 1
    await asks.terminate()
