"""A container engine of its own for try_compose.py, with stand-ins for the images that cannot be pulled.

For machines that reach package registries but no image registry: root, Debian 12, and the packages
`docker.io`, `docker-compose`, `debootstrap` and `iptables`. Everything is in a network namespace and a
temporary folder of its own (about 5 GB while it runs).

What this shows: the image of the worker builds and runs, as a user without rights on a read-only file
system; the services start in order, reach each other, and pass passwords on; the jobs run; health checks,
restarts and draining work. What it cannot show: the images themselves, and Temporal on PostgreSQL. The
stand-in of the server is Temporal's development server, on SQLite; the stand-in of the schema tool only logs
in and creates the databases.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .try_compose import ROOT, trial

IMAGES = Path(__file__).with_name("stand_in_images")
PACKAGES = "ca-certificates,python3,python3-venv,postgresql,netcat-openbsd,socat"
DNS = "192.0.2.53"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def run_with_stand_ins() -> None:
    """Builds all images in an engine on this machine's network, then runs the trial in one without it."""
    if os.environ.get("COMPOSE_TRY_FOLDER"):
        _inside(Path(os.environ["COMPOSE_TRY_FOLDER"]))
        return
    folder = Path(tempfile.mkdtemp(prefix="compose-try-"))
    try:
        with _engine(folder, "--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false"):
            _build(folder)
        # Containers get a bridge of their own, which needs a network namespace in which nothing else lives.
        command = ["unshare", "--net", sys.executable, "-m", "deploy.try_compose", "--stand-ins"]
        ended = subprocess.run(command, cwd=ROOT, env={**os.environ, "COMPOSE_TRY_FOLDER": str(folder)})
    finally:
        subprocess.run(["umount", "--recursive", "--quiet", str(folder / "exec")], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(ended.returncode)


def _inside(folder: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{DNS}/32", "dev", "lo"], check=True)
    threading.Thread(target=_deny_all_names, daemon=True).start()
    with _engine(folder, f"--dns={DNS}"):
        trial(build=False)


def _deny_all_names() -> None:
    """Answers that no name exists: gRPC asks for names beside the server's, and would wait for an answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((DNS, 53))
        while True:
            asked, sender = listening.recvfrom(512)
            listening.sendto(asked[:2] + b"\x81\x83" + asked[4:6] + bytes(6) + asked[12:], sender)


@contextmanager
def _engine(folder: Path, *options: str) -> Iterator[None]:
    address = f"unix://{folder}/docker.sock"
    places = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/docker.pid"]
    command = ["dockerd", f"--host={address}", *places, "--storage-driver=overlay2", *options]
    with (folder / "dockerd.log").open("ab") as log, subprocess.Popen(command, stderr=log) as engine:
        os.environ["DOCKER_HOST"] = address
        # Debian's client before any other: it builds without a plugin.
        os.environ["PATH"] = f"/usr/bin:{os.environ['PATH']}"
        try:
            for _ in range(60):
                if subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
                    break
                time.sleep(0.5)
            yield
        finally:
            engine.terminate()
            engine.wait(60)


def _build(folder: Path) -> None:
    system = folder / "system"
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(system)]
    with (folder / "debootstrap.log").open("wb") as log:
        subprocess.run(command, check=True, stdout=log)
    with subprocess.Popen(["tar", "-C", str(system), "-c", "."], stdout=subprocess.PIPE) as archive:
        subprocess.run(["docker", "import", "-", "stand-in-base"], check=True, stdin=archive.stdout)
    shutil.rmtree(system)
    context = folder / "images"
    shutil.copytree(IMAGES, context)
    server = shutil.which("temporal", path=Path(sys.executable).parent)
    shutil.copy(server or "temporal", context / "temporal")
    for name in pinned_images():
        target = name.partition(":")[0].rpartition("/")[2]
        _docker_build(context, "--target", target, "--tag", name)
    secret = ["--secret", f"id=ca_bundle,src={CERTIFICATES}"]
    _docker_build(ROOT, *secret, "--tag", worker_image())


def _docker_build(context: Path, *options: str) -> None:
    command = ["docker", "build", "--quiet", "--network=host", *options, str(context)]
    subprocess.run(command, check=True, env={**os.environ, "DOCKER_BUILDKIT": "1"})


def pinned_images() -> list[str]:
    """Returns the names of the images that others have made, from both files."""
    named = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    named += re.findall(r"^ +image: (\S+)", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
    return [name for name in dict.fromkeys(named) if name != worker_image()]


def worker_image() -> str:
    """Returns the name of our own image."""
    found = re.search(r"image: (counterstep-worker:\S+)", (ROOT / "docker-compose.yml").read_text())
    assert found is not None
    return found[1]
