"""What most tests share: one real Temporal server a session."""

from __future__ import annotations

import faulthandler
from collections.abc import AsyncIterator, Generator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from hypothesis import HealthCheck, settings
from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker._workflow import _WorkflowWorker

from benchmarks.by_hand import ACTIVITIES, SagaByHand
from counterstep.activities import bundle_activities
from counterstep.embedded import EmbeddedServer
from counterstep.runtime.process import keep_what_is_loaded
from counterstep.saga.verification import verifier
from counterstep.testing.server import temporal_server
from counterstep.tests.support.bundles.desk import VARIABLE, Desk, desk
from counterstep.tests.support.processes.build_id import say_which_build
from counterstep.tests.support.tasks.tasks import Tasks
from counterstep.tests.support.workflows.own_workflows import CallsUnknown, FiveSteps
from counterstep.worker import stock_plugin

# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("counterstep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("counterstep")

say_which_build()

TEARDOWN_SECONDS = 120


def pytest_collection_finish() -> None:
    """Leaves what is loaded to itself: a search for garbage in it holds up workflows for a second."""
    keep_what_is_loaded()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Ends the process of a teardown that hangs, and says where: after a failure pytest sets no limit."""
    stderr = item.config.stash[fault_handler_stderr_fd_key]
    faulthandler.dump_traceback_later(TEARDOWN_SECONDS, file=stderr, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session", autouse=True)
def unhurried_workflows() -> Iterator[None]:
    """Gives workflows 20 s to yield, not 2, here and in processes that are forked from this one.

    Where six processes share two cores a thread may get no turn for so long. The SDK then breaks the code of
    the workflow off wherever it is, and now and then the process dies of it.
    """
    make = _WorkflowWorker.__init__

    def make_unhurried(worker: _WorkflowWorker, **options: Any) -> None:
        make(worker, **options)
        assert worker._deadlock_timeout_seconds in (2, None)
        if worker._deadlock_timeout_seconds:  # a replay has none
            worker._deadlock_timeout_seconds = 20

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_WorkflowWorker, "__init__", make_unhurried)
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    with temporal_server() as server:
        yield server


@pytest.fixture
async def client(server: EmbeddedServer) -> Client:
    """A client without any plugin."""
    return await Client.connect(server.address)


@pytest.fixture
def task_queue(request: pytest.FixtureRequest) -> str:
    """A queue that only this test uses."""
    return f"{request.node.name}-{uuid4()}"


@pytest.fixture
def effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The file in which the effects of the bundle `desk` are rows."""
    path = tmp_path / "desk.sqlite"
    monkeypatch.setenv(VARIABLE, str(path))
    return Desk(path)


@pytest.fixture
def unhurried_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives fast checks more than their second: one that answers at once has no other limit here."""
    for module in (bundle_activities, verifier):
        monkeypatch.setattr(module, "FAST_LIMIT", timedelta(seconds=30))


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    """Runs tasks on a worker of this test's own, in this process."""
    client = await Client.connect(server.address, plugins=[stock_plugin([desk], inline_specs=True)])
    async with Worker(
        client, task_queue=task_queue, workflows=[SagaByHand, CallsUnknown, FiveSteps], activities=ACTIVITIES
    ):
        yield Tasks(client, task_queue)
