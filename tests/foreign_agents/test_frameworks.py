"""Unchanged agents of other frameworks under a saga: killed in their second tool call, or undone too late."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.foreign.provider import ANSWER, Provider, provider
from counterstep.tests.support.foreign.travel import BOOKINGS, DECLARED, KILL, Bookings
from counterstep.tests.support.foreign.travel_worker import travels
from counterstep.tests.support.foreign_agents.frameworks import (
    ENVIRONMENTS,
    FRAMEWORKS,
    Framework,
    by_name,
    environment_of,
)
from counterstep.tests.support.foreign_agents.plain_tools import plain_tools
from counterstep.tests.support.processes.watching import until
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import End, end_of

WISH = {"wish": "Book a flight and a hotel in Rome."}


@dataclass
class Seen:
    """What one framework has come to; the table of the docs has a row of it.

    Attributes:
        title: What people call it.
        version: Which version.
        dialect: What it speaks.
        paid: Requests that were paid in the run that was killed.
        paid_twice: How many of them twice.
        booked_twice: Bookings that were made twice.
        undone: Bookings that a late failure has undone, of all.
        paid_twice_without: Requests that were paid twice without a saga.
        left_without: Bookings that nobody has asked for, without a saga.
    """

    title: str
    version: str
    dialect: str
    paid: int
    paid_twice: int
    booked_twice: int
    undone: str
    paid_twice_without: int
    left_without: int


@pytest.mark.parametrize("name", [framework.name for framework in FRAMEWORKS])
async def test_an_agent_is_killed_in_its_second_tool_call_and_one_comes_too_late(
    name: str, server: EmbeddedServer, task_queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    framework = by_name(name)
    version = framework.install()
    declared = {"command": framework.command, "loose_match": framework.loose, "env": framework.variables}
    monkeypatch.setenv(DECLARED, json.dumps(declared))

    def at(run: str) -> Bookings:
        monkeypatch.setenv(BOOKINGS, str(tmp_path / f"{run}.sqlite"))
        return Bookings(tmp_path / f"{run}.sqlite")

    well, paid = at("well"), await _run(server, task_queue, WISH, monkeypatch)
    assert well.standing() == ["book_flight", "book_hotel"]
    assert paid.turns == [0, 1, 2]

    killed, monkey = at("killed"), tmp_path / "killed"
    monkeypatch.setenv(KILL, str(monkey))
    again = await _run(server, task_queue, WISH, monkeypatch, is_killed=True)
    monkeypatch.delenv(KILL)
    assert killed.made() == [("book_flight", "Rome"), ("book_hotel", "Rome"), ("book_hotel", "Rome")]
    booked_twice = len(killed.rows()) - len(set(killed.standing()))
    assert (again.paid_twice, booked_twice) == (0, 0)

    late = at("late")
    await _run(server, task_queue, {**WISH, "too_late": True}, monkeypatch, ends="SagaRolledBack")
    assert len(late.rows()) == 2 and late.standing() == []

    without, booked = _without_a_saga(framework, tmp_path)
    seen = Seen(
        title=framework.title,
        version=version,
        dialect=again.paid[0].dialect,
        paid=len(again.paid),
        paid_twice=again.paid_twice,
        booked_twice=booked_twice,
        undone=f"{len(late.rows()) - len(late.standing())} of {len(late.rows())}",
        paid_twice_without=without.paid_twice,
        left_without=sum(count - 1 for count in Counter(booked).values()),
    )
    (ENVIRONMENTS / f"{name}.json").write_text(json.dumps(asdict(seen)))
    assert seen.left_without > 0  # or the kill has shown nothing


async def _run(
    server: EmbeddedServer,
    queue: str,
    given: Mapping[str, object],
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_killed: bool = False,
    ends: str = "completed",
) -> Provider:
    """Runs a trip to its end; where a worker is killed, the next one goes on."""
    client = await Client.connect(server.address)
    with provider() as paid:
        for name, value in paid.environment.items():
            monkeypatch.setenv(name, value)
        handle = await client.start_workflow("travel.trip", given, id=f"trip-{uuid4()}", task_queue=queue)
        if is_killed:
            with worker_process(server.address, queue, travels) as first:
                await until(lambda: first.poll() is not None, seconds=120)
                assert first.returncode == -signal.SIGKILL
        with worker_process(server.address, queue, travels):
            end: End = await end_of(handle)
    assert end.type == ends, end
    if ends == "completed":
        assert ANSWER in end.output
    return paid


def _without_a_saga(framework: Framework, folder: Path) -> tuple[Provider, list[str]]:
    """Runs the program alone: killed in its second tool call, and started again as a supervisor would."""
    home = folder / "home"
    home.mkdir()
    with provider() as paid, plain_tools() as tools:
        started: list[subprocess.Popen[bytes]] = []

        def kill_the_first() -> None:
            if len(started) == 1 and started[0].poll() is None:
                os.killpg(started[0].pid, signal.SIGKILL)
                started[0].wait()

        tools.at_hotel = kill_the_first
        wish = json.dumps(WISH)
        env = environment_of(framework, paid.url, tools.url, wish, home)
        for _ in range(2):
            started.append(subprocess.Popen(framework.command, env=env, cwd=home, start_new_session=True))
            started[-1].wait(180)
        assert [process.returncode for process in started] == [-signal.SIGKILL, 0]
        return paid, tools.booked
