"""The files that put workers into containers, checked without an engine; `make compose-try` needs one."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from counterstep.saga.duration import parse_duration
from counterstep.worker import OVERTIME

ROOT = Path(__file__).resolve().parents[2]
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
    assert len(ports) == 3
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
