"""What runs beside a worker in containers: the job that prepares a namespace, and the health check."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.runtime.connection import has_workers
from counterstep.saga.record.search_attributes import SEARCH_ATTRIBUTES
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks

ROOT = Path(__file__).resolve().parents[3]


BIN = Path(sys.executable).parent


async def test_the_job_creates_the_namespace_and_the_search_attributes(
    server: EmbeddedServer, client: Client
) -> None:
    namespace = f"compose-{uuid4().hex[:8]}"
    variables = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_NAMESPACE": namespace,
        "RETENTION": "1d",
    }
    for _ in range(2):  # it may run again
        job = await asyncio.create_subprocess_exec("sh", ROOT / "deploy" / "namespace.sh", env=variables)
        assert await job.wait() == 0
    request = ListSearchAttributesRequest(namespace=namespace)
    known = await client.operator_service.list_search_attributes(request)
    types = {name: IndexedValueType.Name(type_) for name, type_ in known.custom_attributes.items()}
    for name, type_ in SEARCH_ATTRIBUTES.items():
        assert types.get(name) == f"INDEXED_VALUE_TYPE_{type_.upper()}"


async def test_a_worker_that_polls_is_healthy_and_no_other(
    effects: Desk, client: Client, tasks: Tasks
) -> None:
    handle = await tasks.start([{"id": "only", "tool": "desk.look", "input": {"what": "x"}}])
    await handle.result()  # whoever has answered has asked
    assert await has_workers(client, tasks.task_queue, host=socket.gethostname())
    assert not await has_workers(client, tasks.task_queue, host="another-machine")
    assert not await has_workers(client, "nobody-serves-this")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "{server}"])
def test_the_health_check_of_a_machine_without_a_worker_fails_in_a_sentence(
    server: EmbeddedServer, address: str
) -> None:
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TEMPORAL_ADDRESS": address.format(server=server.address),
        "COUNTERSTEP_TASK_QUEUE": "nobody-serves-this",
    }
    command = [sys.executable, "-m", "counterstep.runtime.health"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (1, "")
    assert len(done.stdout.splitlines()) == 1
