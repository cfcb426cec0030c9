"""Tries docker-compose.yml in a container engine: tasks run to their end while a worker is killed.

``make compose-try`` uses the engine that is there. With ``ARGS=--stand-ins``, as root on Debian, it starts
one of its own, in which stand-ins carry the names of the images: stand_ins.py says what they can show.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from temporalio.client import Client, WorkflowHandle

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "counterstep-try"
TRIP = {"origin": "Zurich", "destination": "Rome", "budget": 1000}
TASKS = 8


class Stack:
    """The services of docker-compose.yml, as a project of its own."""

    def __init__(self, variables: Path) -> None:
        """Finds out how Compose is started on this machine.

        Args:
            variables: The file that is used instead of ``.env``.
        """
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
        program = ["docker", "compose"] if plugin else ["docker-compose"]
        file = str(ROOT / "docker-compose.yml")
        self._compose = [*program, "--project-name", PROJECT, "--env-file", str(variables), "--file", file]

    def compose(self, *arguments: str, timeout: float = 1800) -> None:
        """Runs one command of Compose, which must succeed."""
        subprocess.run([*self._compose, *arguments], check=True, timeout=timeout)

    def containers(self, service: str) -> list[str]:
        """Returns the full ids of a service's containers."""
        command = [*self._compose, "ps", "--quiet", service]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def inspect(container: str, path: str) -> str:
    """Returns one value of what the engine knows about a container."""
    command = ["docker", "inspect", "--format", f"{{{{{path}}}}}", container]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def until(condition: Callable[[], bool], what: str, seconds: float = 300) -> None:
    """Waits until a condition holds; raises a TimeoutError that names it when it does not hold in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(1)


def is_healthy(container: str) -> bool:
    """Returns whether the container's own health check passed the last time it ran."""
    return inspect(container, ".State.Health.Status") == "healthy"


def until_healthy(stack: Stack, *services: str) -> None:
    """Waits until every container of these services is healthy."""
    for service in services:
        found = stack.containers(service)
        assert found, f"{service} has no container"
        for container in found:
            until(partial(is_healthy, container), f"{service} is healthy")


def free_port() -> int:
    """Returns a port of this machine that is free at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running_stack(*, build: bool) -> Iterator[tuple[Stack, int, int]]:
    """Starts all services with a password made for this run, and removes containers and volumes at the end.

    Yields:
        The stack, and the ports of Temporal and of its Web UI.
    """
    temporal, ui = free_port(), free_port()
    with TemporaryDirectory() as folder:
        variables = Path(folder) / "env"
        variables.write_text(
            f"POSTGRES_PASSWORD={secrets.token_hex(12)}\nTEMPORAL_PORT={temporal}\nTEMPORAL_UI_PORT={ui}\n"
        )
        stack = Stack(variables)
        try:
            if build:
                stack.compose("build", "worker")
            stack.compose("up", "--detach", timeout=600)
            yield stack, temporal, ui
        except BaseException:
            stack.compose("logs", "--tail", "30")
            raise
        finally:
            stack.compose("down", "--volumes", "--timeout", "60")


async def at_work(tasks: Sequence[WorkflowHandle[object, object]]) -> str:
    """Waits until a worker has started a call of one of these tasks; returns its host."""
    for _ in range(1200):
        for task in tasks:
            if hosts := await workers_of(task):
                return hosts[-1]
        await asyncio.sleep(0.1)
    raise TimeoutError("no worker has started a call")


async def workers_of(task: WorkflowHandle[object, object]) -> list[str]:
    """Returns the hosts whose workers have started a call of a task, in order."""
    events = (await task.fetch_history()).events
    identities = [event.activity_task_started_event_attributes.identity for event in events]
    return [identity.partition("@")[2] for identity in identities if identity]


async def kill_in_the_middle(client: Client, stack: Stack) -> None:
    """Runs tasks, kills the worker container that is working on one, and checks that all tasks end."""
    run = secrets.token_hex(4)
    tasks: list[WorkflowHandle[object, object]] = [
        await client.start_workflow("trip.trip", TRIP, id=f"trip-{run}-{n}", task_queue="counterstep")
        for n in range(TASKS)
    ]
    host = await at_work(tasks)
    victim = next(container for container in stack.containers("worker") if container.startswith(host))
    # Killed from inside, the worker looks crashed to the engine, which restarts only what has crashed.
    command = ["docker", "exec", victim, "python", "-c", "import os; os.kill(-1, 9)"]
    await asyncio.to_thread(subprocess.run, command, capture_output=True)
    results = await asyncio.wait_for(asyncio.gather(*(task.result() for task in tasks)), 300)
    states = [result["state"] for result in results if isinstance(result, dict)]
    assert states == ["completed"] * TASKS, states
    moved = [hosts for hosts in [await workers_of(task) for task in tasks] if len(set(hosts)) > 1]
    assert moved, "no task was at work on both workers"
    until(lambda: int(inspect(victim, ".RestartCount")) > 0, "the killed worker is started again")
    say(f"a worker container was killed (kill -9): {TASKS} of {TASKS} tasks completed, {len(moved)} of them")
    say("  by both workers; the engine has started the killed one again")


def try_draining(stack: Stack) -> None:
    """Stops one worker as a deployment would; the worker has to drain and exit with 0."""
    worker = stack.containers("worker")[0]
    started = time.monotonic()
    subprocess.run(["docker", "stop", "--time", "50", worker], check=True, capture_output=True)
    seconds = time.monotonic() - started
    logs = subprocess.run(["docker", "logs", worker], check=True, capture_output=True, text=True).stderr
    events = [json.loads(line)["event"] for line in logs.splitlines() if line.startswith("{")]
    assert "worker stopped" in events, events[-5:]
    assert inspect(worker, ".State.ExitCode") == "0"
    say(f"SIGTERM: the worker drained and exited with 0 after {seconds:.1f} s")


async def try_tasks(stack: Stack, port: int) -> None:
    """Starts tasks from outside with an ordinary client, and checks how they end."""
    client = await Client.connect(f"127.0.0.1:{port}")
    result = await client.execute_workflow("trip.trip", TRIP, id="trip-first", task_queue="counterstep")
    say(f"a task ran to its end: {json.dumps(result['output'])}")
    await kill_in_the_middle(client, stack)


def trial(*, build: bool) -> None:
    """Runs the whole trial; the first failure is raised."""
    started = time.monotonic()
    with running_stack(build=build) as (stack, port, ui_port):
        until_healthy(stack, "postgresql", "temporal", "ui", "worker")
        say(f"all services are healthy, after {time.monotonic() - started:.0f} s")
        with urllib.request.urlopen(f"http://127.0.0.1:{ui_port}/", timeout=10) as page:
            say(f"the Web UI answers ({page.status})")
        asyncio.run(try_tasks(stack, port))
        until_healthy(stack, "worker")
        say("both workers are healthy again")
        try_draining(stack)


def say(line: str) -> None:
    """Prints one line of the report."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--stand-ins", action="store_true", help="an engine of its own with stand-in images")
    parser.add_argument("--no-build", action="store_true", help="the image of the worker is there already")
    options = parser.parse_args()
    if options.stand_ins:
        from .stand_ins import run_with_stand_ins

        run_with_stand_ins()
        return
    if shutil.which("docker") is None:
        sys.exit("There is no docker on this machine; with --stand-ins, as root on Debian, one is set up.")
    os.environ.setdefault("DOCKER_BUILDKIT", "1")
    trial(build=not options.no_build)


if __name__ == "__main__":
    main()
