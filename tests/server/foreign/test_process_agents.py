"""Agents that are processes: recorded first, undone with their task, not paid or made again after a crash."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import Worker

from counterstep import Budget, Bundle, Effect, ProcessAgent
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.agents.foreign.host_protocol import ASK_MODEL, HOST_UP
from counterstep.saga.engine import host_desk, process_run
from counterstep.teams import Concurrent
from counterstep.tests.support.foreign.provider import ANSWER, Provider
from counterstep.tests.support.foreign.travel import AGENT, KILL, Bookings, travel
from counterstep.tests.support.foreign.travel_worker import travels
from counterstep.tests.support.histories.history import events_of
from counterstep.tests.support.processes.watching import until
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import End, end_of
from counterstep.worker import make_worker

WISH = {"wish": "A flight and a hotel in Rome."}

Start = Callable[[dict[str, Any]], Any]


async def began(handle: WorkflowHandle[Any, Any]) -> bool:
    """Says whether there is such a workflow, after a moment."""
    await asyncio.sleep(0.1)
    try:
        await handle.describe()
    except RPCError:
        return False
    return True


@asynccontextmanager
async def working(server: EmbeddedServer, queue: str, **said: Any) -> AsyncIterator[Start]:
    """Runs a worker of the travel bundle in this process; yields what starts a trip."""
    plugin = CounterstepPlugin(bundles=[travel(**said)])
    client = await Client.connect(server.address, plugins=[plugin])

    async def start(given: dict[str, Any]) -> WorkflowHandle[Any, Any]:
        return await client.start_workflow("travel.trip", given, id=f"trip-{uuid4()}", task_queue=queue)

    async with make_worker(client, queue, timedelta()):
        yield start


async def ended(start: Start, given: dict[str, Any]) -> End:
    """Runs a trip to its end."""
    return await end_of(await start(given))


@pytest.mark.parametrize("dialect", ["chat", "responses", "messages"])
async def test_a_process_is_an_agent_in_each_dialect(
    server: EmbeddedServer, task_queue: str, paid: Provider, bookings: Bookings, dialect: str
) -> None:
    async with working(server, task_queue) as start:
        model = "claude-sonnet-4-5" if dialect == "messages" else "travel-model"
        end = await ended(start, {**WISH, "dialect": dialect, "model": model})
    assert (end.type, end.output) == ("completed", ANSWER)
    assert paid.turns == [0, 1, 2]
    assert {one.dialect for one in paid.paid} == {dialect}
    assert bookings.standing() == ["book_flight", "book_hotel"]
    assert end.details["usage"]["model_calls"] == 3
    assert end.details["usage"]["tool_calls"] == 2
    assert end.details["usage"]["tokens"] == 360


async def test_what_it_did_is_undone_with_its_task(
    server: EmbeddedServer, task_queue: str, paid: Provider, bookings: Bookings
) -> None:
    async with working(server, task_queue) as start:
        end = await ended(start, {**WISH, "too_late": True})
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "Rejected"
    assert [state for *_, state in bookings.rows()] == ["cancelled", "cancelled"]


async def test_a_cancel_closes_the_door_and_ends_the_process(
    server: EmbeddedServer, task_queue: str, bookings: Bookings
) -> None:
    async with working(server, task_queue) as start:
        handle = await start({"mode": "waits"})
        await until(lambda: bookings.standing() == ["book_flight"])
        await handle.cancel()
        end = await end_of(handle)
    assert end.type == "cancelled"
    assert bookings.rows() == [("book_flight", "Oslo", "cancelled")]


@pytest.mark.slow
async def test_a_cancel_reaches_a_process_that_has_run_for_a_while_within_seconds(
    server: EmbeddedServer, task_queue: str, bookings: Bookings
) -> None:
    async with working(server, task_queue) as start:
        handle = await start({"mode": "waits"})
        await until(lambda: bookings.standing() == ["book_flight"])
        await asyncio.sleep(3)  # its first heartbeat has just been sent; the SDK would hold back the next one
        async with asyncio.timeout(6):
            await handle.cancel()
            end = await end_of(handle)
    assert end.type == "cancelled"


async def test_a_request_that_its_host_has_never_taken_does_not_count(
    server: EmbeddedServer, task_queue: str, paid: Provider, bookings: Bookings
) -> None:
    question = {
        "attempt": 1,
        "key": "k",
        "model": "openai/travel-model",
        "dialect": "chat",
        "input_tokens": 9,
    }
    async with working(server, task_queue) as start:
        handle = await start({"mode": "waits"})
        await until(lambda: bookings.standing() == ["book_flight"])
        client = await Client.connect(server.address)
        child = client.get_workflow_handle(f"{handle.id}/book/process#1")
        await child.execute_update(HOST_UP, {"attempt": 1, "queue": "of a host that is gone"})
        answer = await child.execute_update(ASK_MODEL, question)
        assert answer["refusal"]["type"] == "Timeout", answer
        board = await child.query("board")
        await handle.cancel()
        await end_of(handle)
    assert (board["usage"]["model_calls"], len(paid.paid)) == (0, 0)


async def test_a_process_that_breaks_is_started_again_and_gets_its_answers_back(
    server: EmbeddedServer, task_queue: str, bookings: Bookings, tmp_path: Path
) -> None:
    async with working(server, task_queue) as start:
        end = await ended(start, {"mode": "breaks once", "remember": str(tmp_path)})
    assert (end.type, end.output) == ("completed", "booked")
    assert bookings.made() == [("book_flight", "Oslo")]


@pytest.mark.parametrize(
    ("on_divergence", "happens"),
    [
        ("keep", ["book_flight", "book_hotel", "cancel_booking"]),
        ("undo", ["book_flight", "cancel_booking", "book_hotel"]),
    ],
)
async def test_what_it_does_not_ask_for_again_is_undone(
    server: EmbeddedServer,
    task_queue: str,
    bookings: Bookings,
    tmp_path: Path,
    on_divergence: str,
    happens: list[str],
) -> None:
    async with working(server, task_queue, on_divergence=on_divergence) as start:
        handle = await start({"mode": "changes its mind", "remember": str(tmp_path)})
        end = await end_of(handle)
    assert (end.type, end.output) == ("completed", "only a hotel")
    assert bookings.rows() == [("book_flight", "Oslo", "cancelled"), ("book_hotel", "Rome", "booked")]
    client = await Client.connect(server.address)
    calls = [
        event.activity_task_scheduled_event_attributes.activity_type.name.removeprefix("travel.")
        for event in await events_of(client.get_workflow_handle(f"{handle.id}/book/process#1"))
    ]
    assert [name for name in calls if name in happens] == happens


async def test_what_was_undone_and_is_wanted_after_all_is_done_again(
    server: EmbeddedServer, task_queue: str, bookings: Bookings, tmp_path: Path
) -> None:
    flight, hotel = (
        ["book_flight", {"city": "Oslo", "price": 80}],
        ["book_hotel", {"city": "Rome", "nights": 2}],
    )
    given = {"mode": "does", "lists": [[flight], [hotel, flight]], "remember": str(tmp_path)}
    async with working(server, task_queue, on_divergence="undo") as start:
        end = await ended(start, given)
    assert (end.type, end.output) == ("completed", "did it")
    assert [(tool, state) for tool, _, state in bookings.rows()] == [
        ("book_flight", "cancelled"),
        ("book_hotel", "booked"),
        ("book_flight", "booked"),
    ]


async def test_an_agent_that_may_not_change_its_mind_fails(
    server: EmbeddedServer, task_queue: str, bookings: Bookings, tmp_path: Path
) -> None:
    async with working(server, task_queue, on_divergence="fail") as start:
        end = await ended(start, {"mode": "changes its mind", "remember": str(tmp_path)})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Diverged")
    assert bookings.rows() == [("book_flight", "Oslo", "cancelled")]


async def test_a_process_that_waits_for_a_person_is_ended_and_comes_back_to_where_it_was(
    server: EmbeddedServer,
    task_queue: str,
    bookings: Bookings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_run, "PATIENCE", timedelta(seconds=0.5))
    async with working(server, task_queue) as start:
        handle = await start({"mode": "asks"})
        client = handle._client
        child = client.get_workflow_handle(f"{handle.id}/book/process#1")

        async def seen() -> tuple[list[Any], int]:
            described = await child.describe()
            return (await handle.query("board"))["waiting_for"], len(
                described.raw_description.pending_activities
            )

        asked: list[Any] = []
        hosts = 1
        async with asyncio.timeout(30):
            while not asked or hosts:
                asked, hosts = await seen() if await began(child) else ([], 1)
        assert bookings.rows() == []
        answer = {"step": asked[0]["step"], "action": "approve", "by": "ann", "hash": asked[0]["hash"]}
        await child.execute_update("decide", answer)
        end = await end_of(handle)
    assert end.type == "completed"
    assert bookings.made() == [("book_dear", "Rome")]
    assert json.loads(end.output)["id"].startswith("book_dear")


async def test_who_walks_away_from_a_question_leaves_it_unanswered(
    server: EmbeddedServer, task_queue: str, bookings: Bookings
) -> None:
    async with working(server, task_queue) as start:
        end = await ended(start, {"mode": "walks away"})
    assert (end.type, end.output) == ("completed", "I did not wait")
    assert bookings.rows() == []


async def test_a_budget_ends_it_in_order(
    server: EmbeddedServer, task_queue: str, paid: Provider, bookings: Bookings
) -> None:
    async with working(server, task_queue, budget=Budget(model_calls=2)) as start:
        end = await ended(start, WISH)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
    assert paid.turns == [0, 1]
    assert [state for *_, state in bookings.rows()] == ["cancelled", "cancelled"]


async def test_a_run_that_asks_too_often_ends_typed(
    server: EmbeddedServer,
    task_queue: str,
    paid: Provider,
    bookings: Bookings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_desk, "MOST_REQUESTS", 3)
    async with working(server, task_queue) as start:
        end = await ended(start, WISH)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "CapReached")
    assert "has made 3 requests; one run has no more" in end.failure["message"]
    assert bookings.rows() == [("book_flight", "Rome", "cancelled")]


async def test_a_budget_of_tokens_bounds_each_answer_before_it_is_asked_for(
    server: EmbeddedServer, task_queue: str, paid: Provider, bookings: Bookings
) -> None:
    async with working(server, task_queue, budget=Budget(tokens=30_000)) as start:
        end = await ended(start, WISH)
    assert end.type == "completed"
    assert all(0 < one.body["max_tokens"] < 30_000 for one in paid.paid)
    async with working(server, task_queue, budget=Budget(tokens=500)) as start:
        end = await ended(start, WISH)
    assert end.failure["type"] == "BudgetExceeded"
    assert paid.turns == [0, 1, 2]


@pytest.mark.parametrize(
    ("given", "type_", "told"),
    [
        ({"mode": "says", "code": 3, "complaint": "no luck"}, "ProcessFailed", "has ended with 3: no luck"),
        ({"mode": "says", "line": ""}, "ProcessFailed", "has printed nothing"),
        ({"mode": "says", "line": "x" * 132_000}, "ProcessNotStarted", "COUNTERSTEP_INPUT has 1320"),
    ],
)
async def test_a_process_that_fails_says_why(
    server: EmbeddedServer, task_queue: str, bookings: Bookings, given: dict[str, Any], type_: str, told: str
) -> None:
    async with working(server, task_queue) as start:
        end = await ended(start, given)
    assert end.failure["type"] == type_
    assert told in end.failure["message"]


async def test_what_a_provider_says_no_to_reaches_the_process_in_its_words(
    server: EmbeddedServer, task_queue: str, paid: Provider, bookings: Bookings
) -> None:
    paid.fails = 400
    async with working(server, task_queue) as start:
        end = await ended(start, WISH)
    assert end.failure["type"] == "ProcessFailed"
    assert "400" in end.failure["message"] and "as scripted" in end.failure["message"]


async def test_an_answer_may_be_left_in_a_file(
    server: EmbeddedServer, task_queue: str, bookings: Bookings
) -> None:
    schema = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    async with working(server, task_queue, output=schema) as start:
        assert (await ended(start, {"mode": "writes", "answer": {"id": 7}})).output == {"id": 7}
        bad = await ended(start, {"mode": "writes", "answer": {"id": "seven"}})
    assert bad.failure["type"] == "ProcessFailed"
    assert "output.id" in bad.failure["message"]


async def test_it_gets_no_secret_of_the_worker(
    server: EmbeddedServer, task_queue: str, bookings: Bookings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANK_PASSWORD", "sesame")
    monkeypatch.setenv("CLERK", "env")
    async with working(server, task_queue, env={"DESK": "at env:CLERK"}) as start:
        end = await ended(start, {"mode": "environment"})
    found = json.loads(end.output)
    assert "BANK_PASSWORD" not in found["names"]
    assert {"DESK", "COUNTERSTEP_TOKEN", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"} <= {*found["names"]}
    assert found["home"] != os.environ["HOME"]
    folder = Path(found["cwd"])
    assert not await asyncio.to_thread(folder.exists)


@pytest.mark.long
async def test_after_a_kill_nothing_is_paid_or_booked_twice(
    server: EmbeddedServer,
    task_queue: str,
    paid: Provider,
    bookings: Bookings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KILL, str(tmp_path / "killed"))
    client = await Client.connect(server.address)
    handle = await client.start_workflow("travel.trip", WISH, id=f"trip-{uuid4()}", task_queue=task_queue)
    with worker_process(server.address, task_queue, travels) as first:
        await until(lambda: first.poll() is not None)
        assert first.returncode == -9
    with worker_process(server.address, task_queue, travels):
        end = await end_of(handle)
    assert (end.type, end.output) == ("completed", ANSWER)
    assert paid.turns == [0, 1, 2]
    assert bookings.standing() == ["book_flight", "book_hotel"]
    assert bookings.made() == [("book_flight", "Rome"), ("book_hotel", "Rome"), ("book_hotel", "Rome")]
    await until(lambda: not agents_of(tmp_path))


def agents_of(folder: Path) -> list[int]:
    """Returns the processes of agents that have this folder in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(AGENT).encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def others(bundle: Bundle) -> Bundle:
    """Adds a second program, a team of both, and an agent in Python that fails, for which one stands in."""

    @bundle.agent(effect=Effect.READ_ONLY)
    def broken(request: dict[str, Any]) -> str:
        """Fails for good."""
        raise ApplicationError("broken", non_retryable=True)

    second = ProcessAgent(
        name="second",
        description="Another one.",
        command=[sys.executable, str(AGENT)],
        effect=Effect.READ_ONLY,
    )
    bundle.add(second)
    team = Concurrent(
        name="pair", description="Two of them.", members=["travel.agent", second], combine="collect"
    )
    bundle.add_task(bundle.add(team))
    step = {"id": "book", "agent": "travel.broken", "input": "${{ task }}"}
    bundle.add_task(
        {
            "name": "again",
            "input": {"type": "object"},
            "steps": [{**step, "on_failure": {"fallback": "travel.agent"}}],
            "output": "${{ steps.book.output }}",
        }
    )
    return bundle


async def test_it_plays_in_a_team_and_stands_in_for_another_agent(
    server: EmbeddedServer, task_queue: str, bookings: Bookings
) -> None:
    plugin = CounterstepPlugin(bundles=[others(travel())])
    client = await Client.connect(server.address, plugins=[plugin])
    given = {"mode": "says", "line": "yes"}
    async with Worker(client, task_queue=task_queue):
        ends = [
            await end_of(
                await client.start_workflow(name, given, id=f"trip-{uuid4()}", task_queue=task_queue)
            )
            for name in ("travel.pair", "travel.again")
        ]
    assert [end.type for end in ends] == ["completed", "completed"]
    assert [*ends[0].output["answers"].values()] == ["yes", "yes"]
    assert ends[1].output == "yes"
