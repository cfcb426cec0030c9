"""The embedded server, as real processes: shared by a folder, found again, durable, ended for good."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from counterstep.embedded import (
    EmbeddedServer,
    binary,
    ensure,
    find_program,
    lifecycle,
    running,
    stop,
)
from counterstep.saga.errors import ServerUnavailable
from counterstep.saga.record.search_attributes import SEARCH_ATTRIBUTES
from counterstep.testing.server import temporal_server

ENSURE = "import sys, pathlib, counterstep.embedded as e; print(e.ensure(pathlib.Path(sys.argv[1])).pid)"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop(tmp_path, grace=0)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def kill(server: EmbeddedServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: running(server.folder) is None)


def quiet_port() -> int:
    """A free port that nobody gets who asks for any: those that the kernel gives away are higher."""
    for port in random.sample(range(15_000, 30_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def is_listening(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


async def start_workflow(server: EmbeddedServer, workflow_id: str) -> None:
    client = await Client.connect(server.address)
    await client.start_workflow("no_worker_needed", id=workflow_id, task_queue="nobody")


async def test_a_folder_has_one_server_and_it_is_ready_at_once(folder: Path) -> None:
    assert running(folder) is None
    server = ensure(folder)
    await start_workflow(server, "first")
    assert ensure(folder) == server
    assert running(folder) == server
    assert running(folder.parent) is None


def test_many_processes_at_once_start_one_server(folder: Path) -> None:
    starters = [
        subprocess.Popen([sys.executable, "-c", ENSURE, str(folder)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    pids = {starter.communicate(timeout=100)[0] for starter in starters}
    server = running(folder)
    assert server is not None
    assert pids == {f"{server.pid}\n"}


def test_it_outlives_whoever_started_it_and_ignores_an_interrupt_of_its_terminal(folder: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", ENSURE, str(folder)], stdout=subprocess.PIPE)
    starter.communicate(timeout=100)
    server = running(folder)
    assert server is not None
    assert os.getsid(server.pid) != os.getsid(0)
    assert ensure(folder) == server


async def test_histories_survive_kill_9_and_the_addresses_stay(folder: Path) -> None:
    server = ensure(folder, port=quiet_port(), ui_port=quiet_port())
    await start_workflow(server, "kept")
    kill(server)

    again = ensure(folder)
    assert again.pid != server.pid
    assert (again.address, again.ui_url) == (server.address, server.ui_url)
    client = await Client.connect(again.address)
    description = await client.get_workflow_handle("kept").describe()
    assert description.workflow_type == "no_worker_needed"


@pytest.mark.parametrize("name", ["with space", "100%20", "c#", "what?", "Zürich", "-f"])
def test_any_name_of_a_folder_will_do(folder: Path, name: str) -> None:
    named = folder / name
    try:
        ensure(named)
        assert (named / ".counterstep" / "temporal.sqlite").exists()
        assert [path.name for path in folder.iterdir()] == [name]
    finally:
        stop(named, grace=0)


async def test_histories_survive_an_orderly_stop(folder: Path) -> None:
    server = ensure(folder)
    await start_workflow(server, "kept")
    assert stop(folder)
    client = await Client.connect(ensure(folder).address)
    assert (await client.get_workflow_handle("kept").describe()).id == "kept"


def test_stop_ends_the_process_and_says_whether_there_was_one(folder: Path) -> None:
    assert not stop(folder)
    server = ensure(folder)
    assert stop(folder)
    assert running(folder) is None
    assert not is_listening(server.port)
    assert not stop(folder)


def test_a_record_that_names_another_process_is_not_believed(folder: Path) -> None:
    server = ensure(folder)
    kill(server)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        record = folder / ".counterstep" / "server.json"
        record.write_text(server.model_copy(update={"pid": bystander.pid}).model_dump_json())
        assert running(folder) is None
        assert not stop(folder)
        assert ensure(folder).pid != bystander.pid
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_record_that_cannot_be_read_is_replaced(folder: Path) -> None:
    kill(ensure(folder))
    (folder / ".counterstep" / "server.json").write_text('{"pid": ')
    assert running(folder) is None
    assert ensure(folder) == running(folder)


def test_a_remembered_port_that_is_taken_by_now_is_given_up(folder: Path) -> None:
    server = ensure(folder, port=quiet_port())
    kill(server)
    with socket.create_server(("127.0.0.1", server.port)):
        again = ensure(folder)
    assert again.port != server.port


def test_a_taken_port_that_was_asked_for_is_an_error_with_the_reason(folder: Path) -> None:
    port = quiet_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ServerUnavailable) as caught:
        ensure(folder, port=port)
    assert re.search(rf"port {port}: .*address already in use", str(caught.value))
    assert str(folder / ".counterstep" / "server.log") in str(caught.value)
    assert running(folder) is None
    assert ensure(folder, port=port).port == port


def test_other_ports_than_those_of_the_running_server_are_refused(folder: Path) -> None:
    server = ensure(folder)
    with pytest.raises(ServerUnavailable, match=r"runs already, at 127\.0\.0\.1:\d+"):
        ensure(folder, port=server.port + 1)
    assert ensure(folder, port=server.port, ui_port=server.ui_port) == server


def test_a_server_that_does_not_start_is_killed_and_its_last_words_are_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = folder / "mute"
    mute.write_text("#!/bin/sh\necho I am not Temporal\nexec sleep 60\n")
    mute.chmod(0o755)
    monkeypatch.setattr(lifecycle, "find_program", lambda: mute)
    monkeypatch.setattr(lifecycle, "START_SECONDS", 3)
    with pytest.raises(ServerUnavailable, match=r"(?s)did not answer within .*I am not Temporal"):
        ensure(folder)
    assert running(folder) is None


PANIC = (
    """\
time=2026-01-01T00:00:00.000 level=ERROR msg="Failed to start gRPC listener" \
error="listen tcp 127.0.0.1:{port}: bind: address already in use" service=frontend
panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x20 pc=0x2bb0889]

goroutine 1 [running]:
"""
    + 100 * "go.temporal.io/server/service/frontend.NewHTTPAPIServer(0x3b33a74c6008, {0x8a9b, 0x0, 0x0})\n"
)
"""What a server says whose port is taken after it has looked whether it is free."""


def panics(folder: Path, times: int) -> Path:
    """A Temporal that dies of a taken port in its first starts."""
    trace, script = folder / "trace", folder / "temporal"
    trace.write_text(PANIC)
    script.write_text(
        f'#!/bin/sh\n[ $(wc -c < {folder}/starts) -ge {times} ] && exec {find_program()} "$@"\n'
        f"printf x >> {folder}/starts\ncat {trace} >&2\nexit 2\n"
    )
    (folder / "starts").touch()
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("times", [1, lifecycle.START_ATTEMPTS])
def test_a_port_that_is_taken_in_the_middle_of_a_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    temporal = panics(folder, times)
    monkeypatch.setattr(lifecycle, "find_program", lambda: temporal)
    if times < lifecycle.START_ATTEMPTS:
        assert ensure(folder) == running(folder)
        return
    with pytest.raises(ServerUnavailable, match=r"it ended at once:\n.*address already in use") as caught:
        ensure(folder)
    assert str(caught.value).splitlines()[1:-1] == PANIC.splitlines()[:1]


def test_a_server_that_only_panics_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporal = folder / "temporal"
    temporal.write_text(
        "#!/bin/sh\nprintf 'panic: no disk\\n\\ngoroutine 1 [running]:\\nmain.main()\\n' >&2\nexit 2\n"
    )
    temporal.chmod(0o755)
    monkeypatch.setattr(lifecycle, "find_program", lambda: temporal)
    with pytest.raises(ServerUnavailable) as caught:
        ensure(folder)
    assert str(caught.value).splitlines()[1:-1] == ["panic: no disk"]


def test_another_server_at_the_remembered_port_is_not_taken_for_the_new_one(folder: Path) -> None:
    """As one is that has lost its lock: it answers while the new server finds its port taken."""
    other, here = ensure(folder / "other"), folder / "here"
    try:
        (here / ".counterstep").mkdir(parents=True)
        record = other.model_copy(update={"folder": here}).model_dump_json()
        (here / ".counterstep" / "server.json").write_text(record)
        with pytest.raises(ServerUnavailable, match="address already in use"):
            ensure(here, port=other.port)
    finally:
        stop(here, grace=0)
        stop(folder / "other", grace=0)


@pytest.mark.slow
def test_a_server_that_nobody_knows_any_more_is_said_to_run(folder: Path) -> None:
    server = ensure(folder)
    record = folder / ".counterstep" / "server.json"
    known = record.read_text()
    record.unlink()
    for ask in (ensure, stop):
        with pytest.raises(
            ServerUnavailable, match=r"its server\.json is gone; find its process with `fuser"
        ):
            ask(folder)
    record.write_text(known)
    assert running(folder) == server


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(folder: Path) -> None:
    (folder / ".counterstep").write_text("no folder")
    with pytest.raises(ServerUnavailable, match=r"\.counterstep: File exists.*--address"):
        ensure(folder)


async def registered(server: EmbeddedServer) -> dict[str, str]:
    client = await Client.connect(server.address)
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="default")
    )
    prefix = "INDEXED_VALUE_TYPE_"
    return {
        name: IndexedValueType.Name(kind).removeprefix(prefix).capitalize()
        for name, kind in answer.custom_attributes.items()
    }


async def test_the_search_attributes_are_registered(server: EmbeddedServer) -> None:
    assert await registered(server) == SEARCH_ATTRIBUTES


async def test_an_older_database_gets_the_search_attributes_it_lacks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(lifecycle, "SEARCH_ATTRIBUTES", {"SagaTask": "Keyword"})
        assert await registered(ensure(folder)) == {"SagaTask": "Keyword"}
        stop(folder)
    assert await registered(ensure(folder)) == SEARCH_ATTRIBUTES


def test_the_callers_temporal_settings_do_not_reach_the_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "elsewhere.example:7233")
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", "/does/not/exist.toml")
    monkeypatch.setenv("TEMPORAL_TLS", "true")
    assert running(folder) is None
    assert ensure(folder) == running(folder)


def test_the_program_comes_from_the_package_else_from_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = find_program()
    assert installed.name == "temporal"

    monkeypatch.setattr(binary, "_packaged", lambda: None)
    on_path = tmp_path / "bin" / "temporal"
    on_path.parent.mkdir()
    on_path.symlink_to(installed)
    monkeypatch.setenv("PATH", f"{on_path.parent}:{os.environ['PATH']}")
    folder = tmp_path / "served"
    folder.mkdir()
    server = ensure(folder)
    try:
        command = Path(f"/proc/{server.pid}/cmdline")
        if command.exists():
            assert command.read_bytes().split(b"\0")[0] == os.fsencode(on_path)
    finally:
        stop(folder, grace=0)


def test_the_testing_server_is_killed_and_its_folder_removed() -> None:
    with temporal_server() as server:
        assert running(server.folder) == server
    assert not server.folder.exists()
    assert not is_listening(server.port)


def test_the_testing_server_dies_with_a_killed_test_process() -> None:
    script = (
        "import time\n"
        "from counterstep.testing.server import temporal_server\n"
        "with temporal_server() as server:\n"
        "    print(server.port, server.folder, flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port, folder = process.stdout.readline().split()
    assert is_listening(int(port))
    process.kill()
    process.communicate()
    wait_until(lambda: not is_listening(int(port)) and not Path(folder).exists())
