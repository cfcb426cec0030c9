"""The files that put workers into containers, checked without an engine; `make compose-try` needs one."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.observability.search_attribute_check import SEARCH_ATTRIBUTES
from counterstep.runtime.connection import has_workers
from counterstep.saga.duration import parse_duration
from counterstep.tests.support.desk import Desk
from counterstep.tests.support.tasks import Tasks
from counterstep.worker import OVERTIME

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = ROOT / "docker-compose.yml"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BIN = Path(sys.executable).parent


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def test_the_compose_file_keeps_to_the_schema_of_compose() -> None:
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_image_is_pinned_to_one_version() -> None:
    ours = f"counterstep-worker:{PROJECT['project']['version']}"
    images = {service["image"] for service in services().values()}
    images |= set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert ours in images
    assert ours in (ROOT / "Dockerfile").read_text()
    loose = [image for image in images - {ours} if not re.search(r":\d+\.\d+(\.\d+)?(-\w+)*$", image)]
    assert loose == []
    assert len(images) == 6


def test_every_variable_is_in_the_example_and_secrets_have_no_default() -> None:
    text = COMPOSE.read_text()
    used = dict(re.findall(r"\$\{(\w+)(:[?-][^}]*)?\}", text))
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert set(used) == set(example)
    for name, fallback in used.items():
        if name.endswith(("PASSWORD", "KEY")):
            assert example[name] == "", f"{name} has a value in the example"
            assert fallback == ":-" or fallback.startswith(":?"), f"{name} has a default"
        else:
            assert fallback.removeprefix(":-") == example[name], "the default is the example's"
    assert used["POSTGRES_PASSWORD"].startswith(":?")
    named = re.findall(r"(\w*(?:PASSWORD|PWD|API_KEY)): *(.*)", text)
    assert named and all(value.startswith("${") for _, value in named)


def test_nothing_is_reached_from_other_machines() -> None:
    ports = [port for service in services().values() for port in service.get("ports", ())]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in services()["postgresql"]


def test_a_worker_has_the_time_to_drain_and_is_started_again() -> None:
    worker = services()["worker"]
    graceful = parse_duration(worker["environment"]["COUNTERSTEP_GRACEFUL_SHUTDOWN"])
    assert isinstance(graceful, timedelta)
    assert parse_duration(worker["stop_grace_period"]) > graceful + OVERTIME
    assert worker["scale"] == 2
    assert worker["init"] and worker["read_only"] and worker["cap_drop"] == ["ALL"]
    jobs = {"schema", "namespace"}
    assert {
        name for name, service in services().items() if service.get("restart") != "unless-stopped"
    } == jobs
    waited_for = {
        name: need["condition"]
        for service in services().values()
        for name, need in service.get("depends_on", {}).items()
    }
    assert {name for name, condition in waited_for.items() if condition.endswith("successfully")} == jobs
    assert set(waited_for.values()) == {"service_healthy", "service_completed_successfully"}


def test_the_image_is_built_from_the_whole_package_and_nothing_else() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    packages = {name.split(".")[1] for name in PROJECT["tool"]["setuptools"]["packages"] if "." in name}
    assert packages <= allowed
    assert allowed - packages == {"*.py", "LICENSE", "README.md", "examples", "py.typed", "pyproject.toml"}


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
