"""A namespace that lacks the search attributes: workers say so, do without, and use them once they exist."""

from __future__ import annotations

import asyncio
import logging
import shlex
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer, lifecycle
from counterstep.embedded.binary import find_program
from counterstep.observability import search_attribute_check
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.record.search_attributes import SAGA_STATE, SEARCH_ATTRIBUTES
from counterstep.testing.server import temporal_server
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.tasks.work import put, step

UPSERT: Final = "upsert_workflow_search_attributes_event_attributes"


@pytest.fixture
def bare_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedServer]:
    """A server on which nobody has created anything yet."""
    monkeypatch.setattr(lifecycle, "SEARCH_ATTRIBUTES", {})
    with temporal_server() as server:
        yield server


async def until_said(caplog: pytest.LogCaptureFixture, text: str) -> str:
    """Waits for a log line that has this text in it."""
    deadline = time.monotonic() + 60
    while True:
        for record in caplog.records:
            if text in record.getMessage():
                return record.getMessage()
        assert time.monotonic() < deadline, caplog.text
        await asyncio.sleep(0.05)


async def shown(handle: WorkflowHandle[Any, Any]) -> tuple[str | None, int]:
    """The state that a task is found by, and how often it was written."""
    history = await handle.fetch_history()
    state = (await handle.describe()).typed_search_attributes.get(SAGA_STATE)
    return state, sum(event.HasField(UPSERT) for event in history.events)


async def test_tasks_do_without_until_they_exist(
    bare_server: EmbeddedServer,
    task_queue: str,
    effects: Desk,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_attribute_check, "RECHECK", timedelta(milliseconds=200))
    caplog.set_level(logging.INFO, "counterstep")
    client = await Client.connect(bare_server.address, plugins=[CounterstepPlugin([desk], inline_specs=True)])
    async with Worker(client, task_queue=task_queue):
        said = await until_said(caplog, "lacks search attributes")
        tasks = Tasks(client, task_queue)
        before = await tasks.start([put("a")])
        assert (await end_of(before)).type == "completed"
        assert await shown(before) == (None, 0)
        under_way = await tasks.start([step("b", "desk.look", delay=HELD), put("c", "b", fail="final")])
        await effects.until("look", "b")

        command = shlex.split(said.partition("to create them: ")[2])
        assert command[:3] == ["temporal", "operator", "search-attribute"]
        to_this_server = [str(find_program()), *command[1:], "--address", bare_server.address]
        await asyncio.to_thread(subprocess.run, to_this_server, check=True, capture_output=True)
        await until_said(caplog, "has the search attributes now")

        after = await tasks.start([put("d")])
        assert (await end_of(after)).type == "completed"
        assert await shown(after) == ("completed", 2)

        # It goes on as it was started: what a task writes must not depend on when a worker looks.
        effects.release("b")
        assert (await end_of(under_way)).type == "SagaRolledBack"
        assert await shown(under_way) == (None, 0)
    assert len([record for record in caplog.records if "lacks search attributes" in record.message]) == 1


async def test_one_of_another_type_is_named(
    bare_server: EmbeddedServer, task_queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    address = ["--address", bare_server.address]
    create = [str(find_program()), "operator", "search-attribute", "create", *address]
    others = {**SEARCH_ATTRIBUTES, "SagaStep": "Int"}
    flags = [flag for name, type_ in others.items() for flag in ("--name", name, "--type", type_)]
    await asyncio.to_thread(subprocess.run, [*create, *flags], check=True, capture_output=True)
    client = await Client.connect(bare_server.address, plugins=[CounterstepPlugin([desk])])
    async with Worker(client, task_queue=task_queue):
        said = await until_said(caplog, "lacks search attributes")
    assert said.endswith("search-attribute create --namespace default --name SagaStep --type Keyword")
