"""Where the service runs: a folder with its configuration, its releases, its nodes and their records."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from counterstep import NotApplied

from . import config_file
from .processes import NodeProcess, Running
from .records import Records

NODES = ("checkout-1", "checkout-2")
LAST_RELEASE, THIS_RELEASE = "2026.11.1", "2026.11.2"

WORKERS = 4
FAST_MS, SLOW_MS = 5, 2000
"""How long a query of the database takes: as it should, and when the database is the incident."""

POOL, DATABASE = "pool", "database"
"""What an incident comes from: the pool of the new release is too small, or the database is slow."""

_CONFIG = """\
# checkout: settings that every node reads when it starts.
# Whoever changes a line restarts the nodes.

RELEASE={release}

# database: a worker that waits longer than this for a connection refuses its customer
POOL_SIZE={pool}
POOL_TIMEOUT_MS=50
QUERY_TIMEOUT_MS=250

# flags
BASKET_CACHE={cache}
GIFT_WRAP=off
"""

_PORTS = range(20_000, 32_000)
"""No system hands these out to clients, so a node finds its own port free again after a restart."""

_SECONDS_VARIABLE = "INCIDENT_IDLE_SECONDS"
_IDLE_SECONDS = 900


class Site:
    """One folder, and the service that runs from it."""

    def __init__(self, folder: Path, address: str) -> None:
        """Names a site; nothing is made or started yet.

        Args:
            folder: Holds everything but, where that is PostgreSQL, the records.
            address: The database of the records.
        """
        self.folder = folder
        self.config = folder / "checkout.env"
        self.records = Records(address)

    # --- the service

    @property
    def is_set_up(self) -> bool:
        """Whether the service has been set up here."""
        return (self.folder / "ports.json").exists()

    def set_up(self, cause: str = POOL) -> None:
        """Starts the service anew, as it is when the alarm goes off.

        Args:
            cause: What is wrong: ``pool`` or ``database``.
        """
        self.tear_down()
        releases = self.folder / "releases"
        releases.mkdir(parents=True, exist_ok=True)
        last = _CONFIG.format(release=LAST_RELEASE, pool=8, cache="off")
        bad = _CONFIG.format(release=THIS_RELEASE, pool=1 if cause == POOL else 8, cache="on")
        config_file.write(releases / f"{LAST_RELEASE}.env", last)
        config_file.write(releases / f"{THIS_RELEASE}.env", bad)
        config_file.write(self.config, bad)
        config_file.write(self.folder / "database_ms", str(SLOW_MS if cause == DATABASE else FAST_MS))
        config_file.write(self.folder / "ports.json", json.dumps(_free_ports()))
        for node in self.nodes():
            start = Running(node=node.name, instance="first", config=bad, workers=WORKERS, draining=False)
            node.run(start)

    def tear_down(self) -> None:
        """Ends the processes and removes the files; the records stay."""
        if self.is_set_up:
            for node in self.nodes():
                node.stop()
            shutil.rmtree(self.folder / "run", ignore_errors=True)
            (self.folder / "ports.json").unlink()

    def nodes(self) -> list[NodeProcess]:
        """Returns the nodes, whether they run or not."""
        self._must_be_set_up()
        ports = json.loads((self.folder / "ports.json").read_text())
        idle = float(os.environ.get(_SECONDS_VARIABLE) or _IDLE_SECONDS)
        run, database = self.folder / "run", self.folder / "database_ms"
        return [NodeProcess(run, name, port, database, idle) for name, port in ports.items()]

    def node(self, name: str) -> NodeProcess:
        """Returns one node; raises `NotApplied` if there is none of that name."""
        for node in self.nodes():
            if node.name == name:
                return node
        raise NotApplied(f"there is no node {name!r}; there are {', '.join(NODES)}")

    def settings_of_last_release(self) -> dict[str, str]:
        """Returns the settings with which the service was released before."""
        return config_file.settings(config_file.read(self.folder / "releases" / f"{LAST_RELEASE}.env"))

    # --- for whoever changes it

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lets one worker at a time change the site; kill -9 lets the next one in."""
        self._must_be_set_up()
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _must_be_set_up(self) -> None:
        if not self.is_set_up:
            how = "start one with: python -m examples.incident_response.world start"
            raise NotApplied(f"no service runs from {self.folder}; {how}")

    def state(self) -> list[str]:
        """Returns a line for the configuration file and for each node: what an undo has to bring back."""
        lines = [f"{self.config.name} sha256 {short_hash(config_file.read(self.config))}"]
        for node in self.nodes():
            now = node.running()
            lines.append(f"{node.name} on port {node.port}: {describe(now)}")
        return lines


def describe(now: Running | None) -> str:
    """Says in one line what a node runs with."""
    if now is None:
        return "does not run"
    drained = ", draining" if now.draining else ""
    config = short_hash(now.config)
    return f"instance {now.instance}, {now.workers} workers{drained}, settings sha256 {config}"


def short_hash(text: str) -> str:
    """Returns the beginning of a text's SHA-256."""
    return sha256(text.encode()).hexdigest()[:12]


def _free_ports() -> dict[str, int]:
    """Chooses a port for each node on which nobody listens.

    They are counted through, on the whole machine: the port of a node that is just restarted looks free too.
    """
    chosen: dict[str, int] = {}
    with Path(tempfile.gettempdir(), f"counterstep-incident-ports-{os.getuid()}").open("a+") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        next_port = int(counter.read() or _PORTS.start)
        while len(chosen) < len(NODES):
            next_port = next_port + 1 if next_port + 1 in _PORTS else _PORTS.start
            if _is_free(next_port):
                chosen[NODES[len(chosen)]] = next_port
        counter.truncate(0)
        counter.write(str(next_port))
    return chosen


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_sites: dict[tuple[str, str], Site] = {}


def site(task: str) -> Site:
    """Returns the site for a task.

    ``INCIDENT_HOME`` names its folder; ``.counterstep/incident`` where it is not set. ``{task}`` in it stands
    for the task's id: a service for each task, for when many at once are to have an incident. ``INCIDENT_DB``
    names another database than the SQLite file in the folder.
    """
    folder = (os.environ.get("INCIDENT_HOME") or ".counterstep/incident").replace("{task}", task)
    address = os.environ.get("INCIDENT_DB") or f"{folder}/incident.sqlite"
    return _sites.setdefault((folder, address), Site(Path(folder).absolute(), address))
