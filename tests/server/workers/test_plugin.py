"""`CounterstepPlugin` in a stranger's program: both go on as they did before."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, HeaderCodecBehavior, WorkflowFailureError
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DefaultPayloadConverter
from temporalio.plugin import SimplePlugin
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker, WorkerTuner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.errors import DefinitionError
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.bundles.nest import nest
from counterstep.tests.support.bundles.stranger import (
    SECRET,
    AnyWorkflow,
    Heard,
    Listener,
    Money,
    Order,
    Parcel,
    WorkerListener,
    any_activity,
    bundle,
    count_coins,
    own_data,
    send_note,
    unsend_note,
)
from counterstep.tests.support.tasks.tasks import Tasks, details_of, end_of
from counterstep.tests.support.workflows.own_workflows import FiveSteps

OWN_WORKFLOWS: list[type] = [Order, Parcel, AnyWorkflow]
OWN_ACTIVITIES: list[Callable[..., Any]] = [count_coins, send_note, unsend_note, any_activity]


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(500, thread_name_prefix="stranger") as executor:
        yield executor


@activity.defn
async def of_a_plugin() -> str:
    return "of a plugin"


def other_plugin(name: str, heard: Heard) -> SimplePlugin:
    """A plugin of somebody else's; its interceptor is a worker's."""
    return SimplePlugin(name, interceptors=[WorkerListener(name, heard)])


@asynccontextmanager
async def strangers_worker(
    server: EmbeddedServer, task_queue: str, threads: ThreadPoolExecutor, heard: Heard
) -> AsyncIterator[Tasks]:
    """A worker that has everything, and this plugin among others."""
    client = await Client.connect(
        server.address,
        data_converter=own_data(),
        interceptors=[Listener("client", heard)],
        plugins=[
            other_plugin("before", heard),
            CounterstepPlugin([bundle], inline_specs=True),
            other_plugin("after", heard),
        ],
    )
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=OWN_WORKFLOWS,
        activities=OWN_ACTIVITIES,
        activity_executor=threads,
        interceptors=[Listener("worker", heard)],
    ):
        yield Tasks(client, task_queue)


# --- it runs


async def test_everything_of_a_stranger_works_beside_it_and_in_secret(
    server: EmbeddedServer, task_queue: str, threads: ThreadPoolExecutor
) -> None:
    heard: Heard = []
    async with strangers_worker(server, task_queue, threads, heard) as tasks:
        alone = await tasks.start_workflow("Whatever.There.Is", SECRET)
        assert await alone.result() == "any Whatever.There.Is"

        handle = await tasks.start_workflow("Order", Money(41), False)
        assert await handle.result() == [42, "any nobody.has.this", f"{SECRET} for take", f"sent {SECRET}"]

        failing = await tasks.start_workflow("Order", Money(41), True)
        end = await end_of(failing)
        assert (end.type, end.details["undone"]) == ("SagaRolledBack", ["send_note", "take"])
        assert SECRET in end.failure["message"]
        details = await details_of(failing)
        assert details.startswith(f"{SECRET}\n\n")
        assert "take** undone" in details

        task = await tasks.start_workflow("AgentTask", {"task": "stranger.taking"})
        assert (await end_of(task)).type == "completed"
        assert (await details_of(task)).startswith("**stranger.taking**: completed\n\n")
        assert await details_of(alone) == ""

        for each in (handle, failing, task):
            history = await each.fetch_history()
            assert readable_payloads(history.events) == set()
            assert all(SECRET.encode() not in event.SerializeToString() for event in history.events)
            assert failure_messages(history.events) <= {"Encoded failure"}

            replayer = Replayer(
                workflows=OWN_WORKFLOWS,
                data_converter=own_data(),
                plugins=[CounterstepPlugin([bundle])],
            )
            await replayer.replay_workflow(history)
    assert {(who, type_) for who, type_, _ in heard} >= {
        (who, type_)
        for who in ("client", "before", "worker", "after")
        for type_ in ("Order", "Parcel", "AgentTask", "Whatever.There.Is", "count_coins", "stranger.take")
    }


def readable_payloads(message: Any, path: str = "") -> set[str]:
    """Names the fields with a payload that is not locked, but for headers and search attributes."""
    if path.endswith((".header", ".search_attributes")):
        return set()
    if isinstance(message, Payload):
        return set() if message.metadata["encoding"] == b"binary/locked" else {path}
    found: set[str] = set()
    if isinstance(message, Message):
        for field, value in message.ListFields():
            found |= readable_payloads(value, f"{path}.{field.name}")
    elif hasattr(message, "items"):
        for value in message.values():
            found |= readable_payloads(value, path)
    elif not isinstance(message, str | bytes) and hasattr(message, "__iter__"):
        for value in message:
            found |= readable_payloads(value, path)
    return found


def failure_messages(message: Any) -> set[str]:
    """What stands in the clear as the message of a failure."""
    found = {message.message} if type(message).__name__ == "Failure" else set()
    if isinstance(message, Message):
        message = [value for _, value in message.ListFields()]
    elif hasattr(message, "items"):
        message = message.values()
    if not isinstance(message, str | bytes) and hasattr(message, "__iter__"):
        found |= {text for value in message for text in failure_messages(value)}
    return found


async def test_interceptors_of_a_worker_see_what_the_code_did(
    server: EmbeddedServer, task_queue: str, threads: ThreadPoolExecutor
) -> None:
    heard: Heard = []
    async with strangers_worker(server, task_queue, threads, heard) as tasks:
        handle = await tasks.start_workflow("Order", Money(1), True)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert [what for who, type_, what in heard if type_ == "start"] == ["Order"]
    # Who is inside has answered first.
    took = [(who, what) for who, type_, what in heard if type_ == "stranger.take"]
    assert [who for who, _ in took] == ["after", "before", "worker", "client"]
    assert [what for who, what in took if who != "client"] == [f"{SECRET} for take"] * 3
    assert isinstance(took[-1][1], RawValue)  # what will be sent
    assert {who for who, type_, what in heard if (type_, what) == ("step", "take")} == {
        "after",
        "before",
        "worker",
    }
    refused = [what for who, type_, what in heard if (who, type_) == ("worker", "stranger.refuse")]
    assert [(error.type, error.details) for error in refused] == [("Refused", ({"why": SECRET},))]


# --- the configuration


def different(theirs: Worker, ours: Worker) -> set[str]:
    """Names the options that differ, of all that there are."""
    before, after = theirs.config(active_config=True), ours.config(active_config=True)
    assert before.keys() == after.keys()
    return {name for name in before if before[name] is not after[name] and before[name] != after[name]}  # type: ignore[literal-required]


RUNNERS = {"workflow_runner", "unsandboxed_workflow_runner"}
ALWAYS = {"task_queue", "plugins", "activities", "workflows", "interceptors", *RUNNERS}
UNLESS_GIVEN = {"workflow_task_executor"}

POLLERS = {f"max_concurrent_{what}_task_polls": 3 for what in ("workflow", "activity")}
SLOTS = {f"max_concurrent_{what}": 7 for what in ("workflow_tasks", "activities", "local_activities")}
TIMES = {
    "max_heartbeat_throttle_interval": timedelta(seconds=7),
    "default_heartbeat_throttle_interval": timedelta(seconds=3),
    "graceful_shutdown_timeout": timedelta(seconds=5),
}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="defaults"),
        pytest.param(
            {
                **SLOTS,
                **POLLERS,
                **TIMES,
                "identity": "stranger",
                "build_id": "7",
                "max_cached_workflows": 9,
                "max_activities_per_second": 5.0,
                "max_task_queue_activities_per_second": 6.0,
                "nonsticky_to_sticky_poll_ratio": 0.3,
                "sticky_queue_schedule_to_start_timeout": timedelta(seconds=7),
                "workflow_failure_exception_types": [LookupError],
                "workflow_runner": UnsandboxedWorkflowRunner(),
                "workflow_task_executor": ThreadPoolExecutor(3),
                "debug_mode": True,
                "disable_eager_activity_execution": True,
                "disable_safe_workflow_eviction": True,
                "on_fatal_error": of_a_plugin,
            },
            id="everything",
        ),
        pytest.param(
            {
                "tuner": WorkerTuner.create_resource_based(
                    target_memory_usage=0.5, target_cpu_usage=0.5, workflow_config=None
                ),
                "workflow_runner": SandboxedWorkflowRunner(
                    SandboxRestrictions.default.with_passthrough_modules("strangers_module")
                ),
                "unsandboxed_workflow_runner": UnsandboxedWorkflowRunner(),
            },
            id="a tuner and a sandbox",
        ),
    ],
)
async def test_nothing_of_a_workers_configuration_is_lost(
    client: Client,
    task_queue: str,
    threads: ThreadPoolExecutor,
    options: dict[str, Any],
) -> None:
    first, second = Listener("first", []), Listener("second", [])

    def made(queue: str, *plugins: CounterstepPlugin) -> Worker:
        return Worker(
            client,
            task_queue=queue,
            workflows=OWN_WORKFLOWS,
            activities=OWN_ACTIVITIES,
            interceptors=[first, second],
            activity_executor=threads,
            plugins=plugins,
            **options,
        )

    theirs, ours = made(f"{task_queue}-1"), made(f"{task_queue}-2", CounterstepPlugin([bundle]))
    assert different(theirs, ours) == ALWAYS | (UNLESS_GIVEN - options.keys())
    config = ours.config(active_config=True)
    assert config["workflows"][: len(OWN_WORKFLOWS)] == OWN_WORKFLOWS
    assert config["activities"][: len(OWN_ACTIVITIES)] == OWN_ACTIVITIES
    assert config["interceptors"][1:] == [first, second]
    runner = config["workflow_runner"]
    if isinstance(runner, SandboxedWorkflowRunner):
        before = theirs.config(active_config=True)["workflow_runner"]
        assert isinstance(before, SandboxedWorkflowRunner)
        assert runner.restrictions.passthrough_modules >= before.restrictions.passthrough_modules
        same = before.restrictions.passthrough_modules
        assert dataclasses.replace(runner.restrictions, passthrough_modules=same) == before.restrictions


async def test_nothing_of_a_clients_configuration_is_lost(server: EmbeddedServer) -> None:
    data, listener = own_data(), Listener("client", [])
    client = await Client.connect(
        server.address,
        namespace="elsewhere",
        data_converter=data,
        interceptors=[listener],
        plugins=[CounterstepPlugin([bundle])],
        lazy=True,
    )
    config = client.config(active_config=True)
    assert config["data_converter"] == data
    # The plugin's own comes behind the user's: it passes on which events have led to what is started.
    assert [*config["interceptors"][:1], len(config["interceptors"])] == [listener, 2]
    assert config["namespace"] == "elsewhere"


async def test_a_default_converter_learns_pydantic_and_keeps_the_rest(server: EmbeddedServer) -> None:
    data = dataclasses.replace(own_data(), payload_converter_class=DefaultPayloadConverter)
    client = await Client.connect(
        server.address, data_converter=data, plugins=[CounterstepPlugin([bundle])], lazy=True
    )
    chosen = [
        (
            data.payload_converter_class,
            data.payload_codec,
            data.failure_converter_class,
            data.external_storage,
        )
        for data in (client.data_converter, data)
    ]
    assert issubclass(chosen[0][0], PydanticPayloadConverter)
    assert chosen[0][1:] == chosen[1][1:]


# --- more than one


def names_of(worker: Worker) -> list[str | None]:
    """The types of a worker's activities."""
    functions = worker.config(active_config=True)["activities"]
    return [activity._Definition.must_from_callable(function).name for function in functions]


async def test_one_plugin_serves_workers_that_have_nothing_in_common(
    server: EmbeddedServer, task_queue: str, effects: Desk, threads: ThreadPoolExecutor
) -> None:
    plugin = CounterstepPlugin([desk], inline_specs=True)
    client = await Client.connect(server.address, plugins=[plugin])
    child = [{"id": "child", "workflow": "FiveSteps", "input": False}]
    async with (
        Worker(client, task_queue=f"{task_queue}-1"),
        Worker(client, task_queue=f"{task_queue}-2", workflows=[FiveSteps]),
    ):
        refused = await Tasks(client, f"{task_queue}-1").run(child)
        assert refused.type == "InvalidSpec"
        assert "there is no task or workflow 'FiveSteps'" in refused.message
        assert (await Tasks(client, f"{task_queue}-2").run(child)).type == "completed"
    assert sorted(effects.effects()) == list("abcde")


async def test_a_plugin_given_twice_is_one(server: EmbeddedServer, task_queue: str, effects: Desk) -> None:
    plugin = CounterstepPlugin([desk, nest])
    client = await Client.connect(server.address, plugins=[plugin])
    once = Worker(client, task_queue=task_queue)
    with pytest.warns(UserWarning, match="The same plugin type"):
        twice = Worker(client, task_queue=f"{task_queue}-2", plugins=[plugin])
    made_anew = {"activities", "unsandboxed_workflow_runner", "workflow_task_executor"}
    assert different(once, twice) == {"task_queue", "plugins", *made_anew}
    assert names_of(once) == names_of(twice)
    async with twice:
        handle = await Tasks(client, f"{task_queue}-2").start_workflow("nest.middle", {})
        assert (await end_of(handle)).output == {"inner": "i3"}


async def test_two_plugins_for_one_worker_are_refused(server: EmbeddedServer, task_queue: str) -> None:
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([desk])])
    with (
        pytest.warns(UserWarning, match="The same plugin type"),
        pytest.raises(DefinitionError, match="give all bundles to that one"),
    ):
        Worker(client, task_queue=task_queue, plugins=[CounterstepPlugin([bundle])])


@pytest.mark.parametrize("types", [[Exception], [LookupError, workflow.NondeterminismError]])
async def test_no_worker_may_fail_its_tasks_after_a_bad_deploy(
    client: Client, task_queue: str, types: list[type[BaseException]]
) -> None:
    with pytest.raises(DefinitionError, match="workflow_failure_exception_types"):
        Worker(
            client,
            task_queue=task_queue,
            plugins=[CounterstepPlugin([desk])],
            workflow_failure_exception_types=types,
        )


@pytest.mark.parametrize("behaviour", [HeaderCodecBehavior.CODEC, HeaderCodecBehavior.WORKFLOW_ONLY_CODEC])
async def test_headers_stay_readable_for_a_recovery(
    server: EmbeddedServer, task_queue: str, behaviour: HeaderCodecBehavior
) -> None:
    client = await Client.connect(server.address, data_converter=own_data(), header_codec_behavior=behaviour)
    with pytest.raises(DefinitionError, match="header_codec_behavior"):
        Worker(client, task_queue=task_queue, plugins=[CounterstepPlugin([desk])])


async def test_a_name_that_both_have_is_refused(client: Client, task_queue: str) -> None:
    @activity.defn(name="desk.put")
    async def put_elsewhere(what: str) -> None: ...

    with pytest.raises(ValueError, match="More than one activity named desk"):
        Worker(client, task_queue=task_queue, activities=[put_elsewhere], plugins=[CounterstepPlugin([desk])])


# --- litellm

LIGHT = """
import asyncio, sys
import counterstep.plugin
from temporalio.client import Client
from temporalio.worker import Worker
from counterstep.plugin import CounterstepPlugin
from counterstep import Agent, Bundle
from counterstep.tests.support.bundles.desk import desk

team = Bundle("team")
team.add(Agent(name="clerk", description="", instructions="", model="openai/clerk", tools=[], output=str))

async def main(address, task_queue):
    client = await Client.connect(address)
    Worker(client, task_queue="another", plugins=[CounterstepPlugin([desk, team])])
    async with Worker(client, task_queue=task_queue, plugins=[CounterstepPlugin([desk], inline_specs=True)]):
        step = {"id": "look", "tool": "desk.look", "input": {"what": "x"}}
        task = {"spec": {"name": "looks", "steps": [step]}}
        result = await client.execute_workflow("AgentTask", task, id=task_queue, task_queue=task_queue)
    print(result["state"], *(name for name in ("litellm", "openai", "mcp") if name in sys.modules))

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_model_client_is_loaded_by_no_worker_that_asks_no_model(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, server.address, task_queue],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["completed"], done.stderr
