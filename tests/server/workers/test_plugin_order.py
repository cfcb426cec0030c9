"""Other plugins beside this one, listed before it and behind it."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    BinaryPlainPayloadConverter,
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
)
from temporalio.plugin import SimplePlugin
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.errors import DefinitionError
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks

STEPS = [
    {"id": "a", "tool": "desk.put", "input": {"what": "a"}},
    {"id": "b", "tool": "desk.put", "input": {"what": "b", "fail": "final"}, "needs": ["a"]},
]


class TheirConverter(PydanticPayloadConverter):
    """Theirs, and they want no other."""


class BytesOnly(CompositePayloadConverter):
    """Carries nothing but bytes."""

    def __init__(self) -> None:
        super().__init__(BinaryPlainPayloadConverter())


def insistent(existing: DataConverter | None) -> DataConverter:
    """What the plugin for OpenAI's agents does."""
    converter = existing or DataConverter.default
    if converter.payload_converter_class is DefaultPayloadConverter:
        return dataclasses.replace(converter, payload_converter_class=TheirConverter)
    if converter.payload_converter_class is not TheirConverter:
        raise ValueError("The payload converter must be TheirConverter.")
    return converter


async def connected(server: EmbeddedServer, other: SimplePlugin, *, first: bool) -> Client:
    ours = CounterstepPlugin([desk], inline_specs=True)
    plugins = [other, ours] if first else [ours, other]
    return await Client.connect(server.address, plugins=plugins)


@pytest.mark.parametrize("first", [True, False])
async def test_a_plugin_that_insists_on_its_converter_works_in_either_order(
    server: EmbeddedServer, task_queue: str, effects: Desk, first: bool
) -> None:
    client = await connected(server, SimplePlugin("theirs", data_converter=insistent), first=first)
    assert client.data_converter.payload_converter_class is TheirConverter
    async with Worker(client, task_queue=task_queue, activity_executor=ThreadPoolExecutor(4)):
        end = await Tasks(client, task_queue).run(STEPS)
    assert (end.type, end.details["undone"]) == ("SagaRolledBack", ["b", "a"])
    assert effects.effects() == {}


async def test_a_converter_that_cannot_carry_tasks_is_refused_with_the_order(
    server: EmbeddedServer, task_queue: str
) -> None:
    theirs = DataConverter(payload_converter_class=BytesOnly)
    client = await connected(server, SimplePlugin("theirs", data_converter=theirs), first=False)
    with pytest.raises(
        DefinitionError, match=r"BytesOnly .*plugins=\[the other one, CounterstepPlugin\(\.\.\.\)\]"
    ):
        Worker(client, task_queue=task_queue)


async def test_a_plugin_that_replaces_the_sandbox_has_to_come_first(
    server: EmbeddedServer, task_queue: str
) -> None:
    theirs = SimplePlugin("theirs", workflow_runner=SandboxedWorkflowRunner())
    with pytest.raises(DefinitionError, match=r"theirs replaces the sandbox.*plugins=\[the other one"):
        Worker(await connected(server, theirs, first=False), task_queue=task_queue)
    Worker(await connected(server, theirs, first=True), task_queue=task_queue)


async def test_a_plugin_behind_that_would_fail_tasks_for_good_is_refused_as_one_before_is(
    server: EmbeddedServer, task_queue: str
) -> None:
    theirs = SimplePlugin("theirs", workflow_failure_exception_types=[Exception])
    with pytest.raises(DefinitionError, match="workflow_failure_exception_types must not have Exception"):
        Worker(await connected(server, theirs, first=True), task_queue=task_queue)
    worker = Worker(await connected(server, theirs, first=False), task_queue=task_queue)
    with pytest.raises(DefinitionError, match="workflow_failure_exception_types must not have Exception"):
        await worker.run()


async def test_a_plugin_behind_that_leaves_only_its_own_activities_is_refused(
    server: EmbeddedServer, task_queue: str
) -> None:
    @activity.defn
    async def theirs_alone() -> None: ...

    theirs = SimplePlugin("theirs", activities=lambda _: [theirs_alone])
    worker = Worker(await connected(server, theirs, first=False), task_queue=task_queue)
    with pytest.raises(DefinitionError, match=r"taken Counterstep's activities.*plugins=\[the other one"):
        await worker.run()
