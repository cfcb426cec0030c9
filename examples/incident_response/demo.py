"""The demo: three incidents in a real service, with its file, its processes and its rows before and after."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stage import as_promised, command, exit_with, play, program, say, show
from . import config_file, script
from .checkout_site import DATABASE, POOL, WORKERS, Site, describe, short_hash, site
from .processes import Running
from .tools import PAUSE_VARIABLE, probe

SPEC = Path(__file__).with_name("incident_response.yaml")
ALARM = "A third of all customers of checkout get an error since the release of this morning."

ROWS = {
    "operations": "SELECT step, what, state FROM incident_operations WHERE task = :task ORDER BY number",
    "tickets": "SELECT title, cause, state FROM incident_tickets WHERE task = :task",
}
"""What is shown of the records, and what its rows are called."""

_BUNDLE = ("--bundle", "examples.incident_response.bundle:incident")
_ASKS_A_PERSON = 3
"""The exit code of a run that waits for a person."""


@dataclass(frozen=True)
class Scene:
    """One incident, and what it must leave behind.

    Attributes:
        title: What is about to be shown.
        cause: What is wrong with the service.
        is_killed: Whether the process that works on it is killed in the middle of the restart.
        state: How the task must end.
        ticket: How its ticket must stand.
        changes: The states of what was done about it, oldest first.
        proof: What is proved, when all is as it must be.
    """

    title: str
    cause: str
    is_killed: bool
    state: str
    ticket: str
    changes: tuple[str, ...]
    proof: str


_HEALED = ("done", "undone", "undone", "done", "done", "done")

SCENES = [
    Scene(
        title="The first hypothesis is wrong and its changes are undone; the second one heals the service",
        cause=POOL,
        is_killed=False,
        state="completed",
        ticket="resolved",
        changes=_HEALED,
        proof="One line of the file is changed, both nodes run with it; nothing is left of the first guess.",
    ),
    Scene(
        title="No hypothesis helps (the database is slow), and the team may plan no more",
        cause=DATABASE,
        is_killed=False,
        state="rolled_back",
        ticket="withdrawn",
        changes=("undone", "undone", "undone", "undone", "undone"),
        proof="The file is as before, byte for byte, and on each node runs what ran before.",
    ),
    Scene(
        title="The worker is killed (kill -9) between the restarts of two nodes; another one goes on",
        cause=POOL,
        is_killed=True,
        state="completed",
        ticket="resolved",
        changes=_HEALED,
        proof="The restart that was cut off was finished by another worker, once: two nodes, two processes.",
    ),
]


@dataclass(frozen=True)
class Look:
    """The service and its records at one moment.

    Attributes:
        config: The configuration file, word for word.
        nodes: What runs on each node, in words, without its pid.
        pids: The pid of each node; None where it does not run.
        is_healthy: Whether customers are served.
        rows: The rows by their table.
    """

    config: str
    nodes: Mapping[str, str]
    pids: Mapping[str, int | None]
    is_healthy: bool
    rows: Mapping[str, Sequence[tuple[Any, ...]]]


def main() -> int:
    """Plays the scenes; returns 0 if file, processes and rows were as promised after each of them."""
    where = site("")
    say("\nA script plays the agents, by rules on what their tools return: no model and no key is needed.")
    try:
        with script.played() as environment:
            os.environ.update(environment)
            for number, scene in enumerate(SCENES, 1):
                say(f"\n{number}. {scene.title}")
                code = _show(where, scene)
                if code:
                    return code
    finally:
        where.tear_down()
    say("\nThe service is stopped. The tasks are in the Web UI, at the addresses above. To end the server:\n")
    say(f"$ {program()} server --stop")
    return 0


def look(where: Site, task: str) -> Look:
    """Looks at the service, and at the rows of a task."""
    nodes = where.nodes()
    return Look(
        config=config_file.read(where.config),
        nodes={node.name: f"port {node.port}, {describe(node.running())}" for node in nodes},
        pids={node.name: node.pid() for node in nodes},
        is_healthy=probe(where).healthy,
        rows={name: [tuple(row) for row in where.records.ask(sql, task=task)] for name, sql in ROWS.items()},
    )


def differences(scene: Scene, state: str, before: Look, after: Look) -> list[str]:
    """Says where file, processes or rows are not as the scene promises.

    Args:
        scene: What was played.
        state: How the task has ended.
        before: What `look` had found before it.
        after: And what it finds after it.

    Returns:
        One sentence for each difference; none when all is as promised.
    """
    found = []
    heals = scene.state == "completed"
    if state != scene.state:
        found.append(f"the task must end {scene.state}, and it is {state}")
    if after.is_healthy != heals:
        found.append(f"customers must {'' if heals else 'not '}be served, and it is the other way round")
    config = config_file.changed(before.config, "POOL_SIZE", "8") if heals else before.config
    if after.config != config:
        found.append(f"the file must have SHA-256 {short_hash(config)}, and has {short_hash(after.config)}")
    for name, runs in after.nodes.items():
        if not heals and runs != before.nodes[name]:
            found.append(f"on {name} must run: {before.nodes[name]}; it runs: {runs}")
        wanted = f"{WORKERS} workers, settings sha256 {short_hash(config)}"
        if heals and not runs.endswith(wanted):
            found.append(f"on {name} must run: {wanted}; it runs: {runs}")
    for name, pid in before.pids.items():
        if pid is not None and pid != after.pids[name] and _is_alive(pid):
            found.append(f"process {pid} of {name} is left behind")
    states = tuple(row[-1] for row in after.rows["operations"])
    if states != scene.changes:
        found.append(f"the changes must be {', '.join(scene.changes)}; the rows say {', '.join(states)}")
    if [row[-1] for row in after.rows["tickets"]] != [scene.ticket]:
        found.append(f"the ticket must be {scene.ticket}; the rows say {after.rows['tickets']}")
    return found


def _show(where: Site, scene: Scene) -> int:
    where.set_up(scene.cause)
    task_id = f"incident-demo-{uuid.uuid4().hex[:8]}"
    before = look(where, task_id)
    _print("Before", before)
    code, result = _run(where, scene, task_id)
    if result is None or code not in (0, 1):
        say(f"\nThe run has ended with code {code}; the reason is above.")
        return code or 1
    after = look(where, task_id)
    _print("After", after)
    return 0 if as_promised(differences(scene, str(result.get("state")), before, after), scene.proof) else 1


def _run(where: Site, scene: Scene, task_id: str) -> tuple[int, dict[str, Any] | None]:
    """Runs the task until it asks for the restart, answers, and runs it to its end."""
    words = ["run", os.path.relpath(SPEC), *_BUNDLE]
    words += ["--input", "environment=production", "--input", f"alarm={ALARM}"]
    code, result = play(words, task_id)
    if code != _ASKS_A_PERSON:
        return code, result
    with _worker(task_id, {PAUSE_VARIABLE: "60"} if scene.is_killed else {}) as worker:
        old = [node.running() for node in where.nodes()]
        _approve(task_id)
        if scene.is_killed:
            _kill_between_nodes(worker, where, old)
            _print("Between", look(where, task_id))
    return play(words, task_id)


@contextmanager
def _worker(task_id: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a worker for the task, as `run` says that it can be carried on."""
    words = ["worker", *_BUNDLE, "--task-queue", f"counterstep:{task_id}"]
    prefix = [f"{name}={value}" for name, value in environment.items()]
    say(f"\n$ {' '.join([*prefix, program(), shlex.join(words)])} &")
    worker = subprocess.Popen(
        [sys.executable, "-m", "counterstep.cli", *words],
        env={**os.environ, **environment},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait()


def _approve(task_id: str) -> None:
    """Gives, in the place of a person, the yes that a restart in production needs."""
    while not (asked := _questions(task_id)):
        time.sleep(0.2)
    say(f"\nThe task asks a person. The demo answers in its place: {asked[0]['ask']}")
    command("approve", task_id, asked[0]["step"], "--by", "demo", "--hash", asked[0]["hash"])


def _kill_between_nodes(worker: subprocess.Popen[bytes], where: Site, old: Sequence[Running | None]) -> None:
    """Kills the worker (kill -9) when it has restarted one node, and not the other."""
    while True:
        now = [node.running() for node in where.nodes()]
        if now[0] not in (None, old[0]) and now[1] == old[1]:
            break
        time.sleep(0.05)
    say(f"\n$ kill -9 {worker.pid}\n\nThe first node is restarted, the second one is not:")
    worker.kill()
    worker.wait()


def _questions(task_id: str) -> list[dict[str, Any]]:
    """Asks the task what it waits for; nothing while it has not begun."""
    told = subprocess.run(
        [sys.executable, "-m", "counterstep.cli", "status", task_id, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        board = json.loads(told.stdout)
    except ValueError:
        return []
    asked: list[dict[str, Any]] = board.get("waiting_for") or []
    return asked


def _print(when: str, seen: Look) -> None:
    served = "customers are served" if seen.is_healthy else "customers get errors"
    pool = config_file.settings(seen.config)["POOL_SIZE"]
    show(
        f"{when}: {served}",
        ("what", "pid", "is"),
        [
            (
                "checkout.env",
                "",
                f"POOL_SIZE={pool}, sha256 {short_hash(seen.config)}",
            ),
            *((name, seen.pids[name], runs) for name, runs in seen.nodes.items()),
        ],
    )
    for name, sql in ROWS.items():
        columns = sql.removeprefix("SELECT ").partition(" FROM ")[0].split(", ")
        if seen.rows[name]:
            show(f"{when}: the table incident_{name}", columns, seen.rows[name])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    exit_with(main, "INCIDENT_DB")
