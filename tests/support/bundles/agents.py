"""A bundle of model agents that use the desk's tools, and what tests need to drive them over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from counterstep import Agent, Bundle, ProcessAgent, Subject, Undo, Verdict
from counterstep.activities.models.litellm_client import call_model
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.agents.model_protocol import ChatMessage, ModelRequest, ToolSchema
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer, ReceivedRequest
from counterstep.tests.support.bundles.desk import HELD, desk, look, pause, put, record, set_label
from counterstep.tests.support.tasks.tasks import Tasks

KEY = "sk-counterstep-9f1c77secret"
"""The API key of these tests: long enough to be searched for."""

REMEMBERS = "PROGRAM_REMEMBERS"
"""The variable with the folder in which the process agent remembers that it was started before."""

os.environ.setdefault(REMEMBERS, tempfile.mkdtemp(prefix="counterstep-"))

FAST = {"attempts": 3, "initial": "100ms", "max": "200ms"}
"""A `retry` that does not make a test wait."""

team = Bundle("team")


class Job(BaseModel):
    """What an agent is asked to do."""

    what: str


class Report(BaseModel):
    """What an agent says that it has done."""

    placed: list[str]
    note: str = ""


team.add(
    Agent(
        name="clerk",
        description="Puts things on the desk.",
        instructions="You put things on the desk.",
        model="openai/clerk",
        tools=[put, look, set_label],
        input=Job,
        output=Report,
    )
)
program = ProcessAgent(
    name="program",
    description="Puts things on the desk, as a process.",
    command=[sys.executable, str(Path(__file__).parent.with_name("foreign") / "agent.py")],
    models=["openai/clerk"],
    env={"REMEMBER": f"env:{REMEMBERS}"},
    tools=[put, look],
)
team.add(program)
team.add(replace(program, name="tidy_program", on_divergence="undo"))
team.add(
    Agent(
        name="helper",
        description="Does what the clerk does, by another model.",
        instructions="You help out.",
        model="openai/helper",
        tools=[put],
        output=Report,
    )
)
team.add(
    Agent(
        name="writer",
        description="Writes text.",
        instructions="You write.",
        model="openai/writer",
        output=str,
    )
)
team.add(
    Agent(
        name="chain",
        description="Has a second model for when the first one fails.",
        instructions="You write.",
        model=["openai/first", "openai/second"],
        output=str,
    )
)
team.add(
    Agent(
        name="hasty",
        description="Has two turns.",
        instructions="You are quick.",
        model="openai/hasty",
        tools=[put, look],
        output=Report,
        max_turns=2,
    )
)
team.add(
    Agent(
        name="tireless",
        description="Has more turns than a task's history takes.",
        instructions="You go on and on.",
        model="openai/tireless",
        tools=[put, look],
        output=Report,
        max_turns=100,
    )
)
team.add(
    Agent(
        name="watcher",
        description="Has as many turns, and changes nothing.",
        instructions="You look on and on.",
        model="openai/watcher",
        tools=[look],
        output=str,
        max_turns=100,
    )
)
team.add(
    Agent(
        name="guarded",
        description="Has an undo of its own.",
        instructions="You are careful.",
        model="openai/guarded",
        tools=[put],
        output=Report,
        compensate="take_report_back",
    )
)
team.add(
    Agent(
        name="priced",
        description="Its model has a price: $0.15 for a million tokens in, $0.60 for a million out.",
        instructions="You write.",
        model="openai/gpt-4o-mini",
        output=str,
    )
)
team.add(
    Agent(
        name="half_priced",
        description="Its first model has a price, and its second one has none.",
        instructions="You write.",
        model=["openai/gpt-4o-mini", "openai/second"],
        output=str,
    )
)


@team.compensation
def take_report_back(undo: Undo[Report]) -> None:
    """Undoes what the guarded agent did beside its tool calls."""
    placed = undo.output.placed if undo.output else None
    record("undone", "report", json.dumps({"input": undo.input, "placed": placed}))


@team.validator
def did_what_it_says(subject: Subject) -> Verdict:
    """Compares the claim with the tool calls that were executed."""
    done = [item.arguments["what"] for item in subject.evidence if item.tool == "desk.put" and not item.error]
    claimed = subject.output["placed"]
    if sorted(done) == sorted(claimed):
        return Verdict.accept(f"executed {len(done)} calls")
    return Verdict.reject(f"claims {claimed}, and executed {done}")


@team.validator
def silent(subject: Subject) -> Any:
    """Says nothing."""


@team.validator
def yes(subject: Subject) -> Any:
    """Says yes, but not as a verdict."""
    return "yes"


@team.validator
def seen(subject: Subject) -> Verdict:
    """Leaves a trace."""
    record("check", "seen")
    return Verdict(passed=True)


@team.validator
async def slow(subject: Subject) -> Verdict:
    """Takes long."""
    record("check", "slow")
    await asyncio.sleep(30)
    return Verdict.accept("at last")


@team.validator(fast=True)
def crash_fast(subject: Subject) -> Verdict:
    """Breaks down at once."""
    raise ApplicationError("no idea", type="Broken", non_retryable=True)


@team.validator(fast=True)
def blocks(subject: Subject) -> Verdict:
    """Is said to be fast, and is not: it is held."""
    pause("blocks", HELD)
    return Verdict.accept("at last")


@team.validator
def wordy(subject: Subject) -> Verdict:
    """Has much to say."""
    return Verdict.reject(*["no " * 1000] * 300)


@team.validator(fast=True)
def wordy_fast(subject: Subject) -> Verdict:
    """Has even more to say, which no interceptor measures."""
    return Verdict.reject("no " * 1_000_000)


Limited = Callable[..., AbstractAsyncContextManager[tuple[Tasks, ModelServer]]]
"""Runs a worker whose pool has limits, given as YAML."""


@asynccontextmanager
async def team_at_work(
    address: str,
    task_queue: str,
    monkeypatch: pytest.MonkeyPatch,
    bundles: Sequence[Bundle] = (desk, team),
    limits: Path | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Tasks, ModelServer]]:
    """Runs a worker of these bundles, with options of Temporal's, and the server that its models are at."""
    await asyncio.to_thread(_warm_up)
    async with ModelServer() as models:
        for name, value in {**models.environment, "OPENAI_API_KEY": KEY}.items():
            monkeypatch.setenv(name, value)
        plugin = CounterstepPlugin(bundles, inline_specs=True, limits=limits)
        client = await Client.connect(address, plugins=[plugin])
        async with Worker(client, task_queue=task_queue, **options):
            yield Tasks(client, task_queue), models


@cache
def _warm_up() -> None:
    """Makes this process' first model call, while no task runs.

    The model client loads much of itself with it. On a slow machine that holds up a worker for longer than a
    heartbeat, and a call that has one attempt only is lost.
    """
    asyncio.run(_ask_once())


async def _ask_once() -> None:
    schema = {"type": "object", "properties": {}}
    tool = ToolSchema(name="t", description="", parameters=schema)
    async with ModelServer() as models:
        models.default = Behaviour.calls(call("t"))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in models.environment.items():
                patch.setenv(name, value)
            request = ModelRequest(
                agent="team.first",
                models=("openai/first",),
                messages=(ChatMessage(role="user", content="x"),),
                tools=(tool,),
                output_schema=schema,
            )
            await call_model(request.model_dump(mode="json"))


def step(agent: str, what: str = "x", **keys: Any) -> dict[str, Any]:
    """A step of one agent, by the agent's name."""
    return {"id": agent, "agent": f"team.{agent}", "input": {"what": what}, "retry": FAST, **keys}


def told(request: ReceivedRequest, role: str) -> list[str]:
    """What the messages of one role said in a request."""
    return [message["content"] for message in request.body["messages"] if message["role"] == role]


def team_word(request: ReceivedRequest) -> dict[str, Any]:
    """What the team told whoever was asked."""
    word = next(text for text in told(request, "user") if text.startswith("What your team tells you: "))
    found: dict[str, Any] = json.loads(word.partition(": ")[2])
    return found


async def board_of(handle: WorkflowHandle[Any, Any]) -> Mapping[str, Any]:
    """The board of a task."""
    board: Mapping[str, Any] = await handle.query("board")
    return board


async def until(models: ModelServer, count: int, model: str | None = None, seconds: float = 60) -> None:
    """Waits until so many requests have arrived."""
    deadline = time.monotonic() + seconds
    while models.count(model) < count:
        assert time.monotonic() < deadline, f"{models.count(model)} of {count} requests have arrived"
        await asyncio.sleep(0.02)


class Happened:
    """What the history of a task says about its activities.

    Attributes:
        ids: Activity ids in the order in which they were scheduled.
        types: The activity type of each, by id.
        headers: Our header of each, by id.
        inputs: The first argument of each, by id.
        count: How many events there are.
        markers: How many local activities left their answer there.
        text: All of it, for searching.
    """

    def __init__(self, events: list[Any]) -> None:
        self.ids: list[str] = []
        self.headers: dict[str, dict[str, Any]] = {}
        self.types: dict[str, str] = {}
        self.inputs: dict[str, Any] = {}
        self.count = len(events)
        self.markers = 0
        self.text = ""
        for event in events:
            self.text += event.SerializeToString().decode("utf-8", errors="replace")
            scheduled = event.activity_task_scheduled_event_attributes
            if scheduled.activity_id:
                self.ids.append(scheduled.activity_id)
                self.types[scheduled.activity_id] = scheduled.activity_type.name
                self.headers[scheduled.activity_id] = json.loads(scheduled.header.fields["counterstep"].data)
                self.inputs[scheduled.activity_id] = json.loads(scheduled.input.payloads[0].data)
            if event.HasField("marker_recorded_event_attributes"):
                self.markers += 1

    @classmethod
    async def in_(cls, handle: WorkflowHandle[Any, Any]) -> Happened:
        """Reads the whole history of a task."""
        return cls([event async for event in handle.fetch_history_events()])
