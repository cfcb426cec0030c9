"""The parts of the example `incident_response`: a file and processes that are really changed and put back."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from counterstep import NotApplied
from examples.incident_response import config_file, script
from examples.incident_response.checkout_site import POOL, Site, short_hash
from examples.incident_response.demo import SCENES, Look, differences
from examples.incident_response.processes import NodeProcess
from examples.incident_response.records import Call, Records

FILE = "# a comment\r\nPOOL_SIZE=1\r\nPOOL_SIZE_OLD=3\nFLAG=\n\n"


# --- the file


def test_a_change_touches_one_line_and_is_taken_back_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "checkout.env"
    path.write_bytes(FILE.encode())
    path.chmod(0o640)
    config_file.write(path, config_file.changed(config_file.read(path), "POOL_SIZE", "8"))
    assert path.read_bytes() == FILE.replace("SIZE=1", "SIZE=8").encode()
    config_file.write(path, config_file.restored(config_file.read(path), FILE, "POOL_SIZE", "8"))
    assert path.read_bytes() == FILE.encode()
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_others_have_changed_since_stays() -> None:
    now = config_file.changed(config_file.changed(FILE, "POOL_SIZE", "8"), "FLAG", "on")
    assert config_file.restored(now, FILE, "POOL_SIZE", "8") == config_file.changed(FILE, "FLAG", "on")
    again = config_file.changed(now, "POOL_SIZE", "9")
    assert config_file.restored(again, FILE, "POOL_SIZE", "8") == again


@pytest.mark.parametrize(("setting", "value"), [("POOL", "8"), ("POOL_SIZE", "8\nFLAG=on"), ("P.*", "8")])
def test_what_is_no_change_of_one_line_is_refused(setting: str, value: str) -> None:
    with pytest.raises(NotApplied):
        config_file.changed(FILE, setting, value)


# --- the processes


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("incident")
    site = Site(folder, str(folder / "incident.sqlite"))
    site.set_up(POOL)
    try:
        yield site
    finally:
        site.tear_down()


def is_alive(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_node_runs_once_whoever_starts_it_and_each_start_leaves_nothing_behind(where: Site) -> None:
    node = where.nodes()[0]
    first, before = node.running(), node.pid()
    assert first is not None
    node.run(first)
    assert node.pid() == before
    node.run(first.model_copy(update={"workers": 2, "draining": True}))  # in the process that runs
    assert (node.pid(), node.running()) == (before, first.model_copy(update={"workers": 2, "draining": True}))
    node.run(first.model_copy(update={"instance": "second"}))
    assert node.pid() != before
    assert not is_alive(before)
    killed = node.pid()
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    while is_alive(killed):
        pass
    assert node.running() is None
    node.run(first)
    assert node.running() == first
    assert not is_alive(killed)


def test_a_node_that_ends_while_it_is_asked_does_not_run(tmp_path: Path) -> None:
    said = (tmp_path / "node.pid").open("w+")
    said.write("1")
    said.flush()
    fcntl.flock(said, fcntl.LOCK_EX)
    with socket.create_server(("127.0.0.1", 0)) as server:
        node = NodeProcess(tmp_path, "node", server.getsockname()[1], tmp_path / "database", 1)

        def end() -> None:
            asked, _ = server.accept()
            said.close()
            server.close()
            asked.close()

        ending = Thread(target=end)
        ending.start()
        assert node.pid() == 1
        assert node.running() is None
        ending.join()
    assert (node.health(), node.metrics(), node.pid()) == (None, "", None)


def test_who_looks_at_a_node_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "node.pid").write_text("1")  # of a process that has ended
    node = NodeProcess(tmp_path, "node", 1, tmp_path / "database", 1)
    with (tmp_path / "node.pid").open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert node.pid() is None


def test_a_node_is_healthy_when_its_pool_has_a_connection_for_each_worker(where: Site) -> None:
    node = where.nodes()[1]
    ill, first = node.health(), node.running()
    assert ill is not None and first is not None
    assert (ill.healthy, ill.served, ill.refused) == (False, 1, 3)
    node.run(first.model_copy(update={"instance": "x", "config": first.config.replace("SIZE=1", "SIZE=4")}))
    well = node.health()
    assert well is not None
    assert (well.healthy, well.served) == (True, 4)
    assert 'checkout_requests_total{result="served"} 4' in node.metrics()
    node.run(first)


def test_a_start_that_fails_says_where_to_look(where: Site) -> None:
    node = where.nodes()[1]
    first = node.running()
    assert first is not None
    with pytest.raises(RuntimeError, match=r"checkout-2 has ended at its start; see .*checkout-2\.log"):
        node.run(first.model_copy(update={"instance": "bad", "config": "RELEASE=1\nPOOL_SIZE=many\n"}))
    assert node.running() is None
    node.run(first)
    assert node.running() == first


def test_a_change_is_recorded_before_it_is_made_and_refused_after_its_undo(tmp_path: Path) -> None:
    records = Records(str(tmp_path / "incident.sqlite"))
    undone: list[str] = []
    late, made = Call("late", "t", "heal"), Call("made", "t", "heal")
    records.undo(late, lambda: undone.append("late"))
    with pytest.raises(NotApplied):
        records.begin(late, "A: 1 -> 2")
    assert records.begin(made, "A: 1 -> 2") == "A: 1 -> 2"
    assert records.begin(made, "A: 2 -> 2") == "A: 1 -> 2"  # repeated, when the change was made
    for _ in range(2):
        records.undo(made, lambda: undone.append("made"))
    assert undone == ["made"]


# --- the script and the demo


def _asked(agent: str, *results: tuple[str, Any]) -> Any:
    """What the script does in the place of a member that has called tools."""
    messages: list[Mapping[str, Any]] = [
        {"role": "system", "content": agent},
        {"role": "user", "content": '{"alarm": "a"}'},
        {
            "role": "user",
            "content": 'What your team tells you: {"instruction": "checkout-2, checkout-1 8 workers"}',
        },
    ]
    for number, (name, result) in enumerate(results):
        made = {"id": str(number), "function": {"name": name, "arguments": "{}"}}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [made]},
            {"role": "tool", "tool_call_id": str(number), "content": json.dumps(result)},
        ]
    tools = [{"function": {"name": "abandon_and_undo_everything"}}]
    return script.answer({"messages": messages, "tools": tools})


def test_the_script_decides_on_what_the_tools_have_returned() -> None:
    pool = {"setting": "POOL_SIZE", "now": "1", "last_release": "8"}
    flag = {"setting": "BASKET_CACHE", "now": "on", "last_release": "off"}
    chosen = _asked("You take back", ("compare_releases", [flag, pool])).tool_calls[0]
    assert '"POOL_SIZE"' in chosen.arguments
    chosen = _asked("You take back", ("compare_releases", [flag])).tool_calls[0]
    assert '"BASKET_CACHE"' in chosen.arguments
    given_up = _asked("You adjust", ("drain_node", {"error": "there is no node"})).tool_calls[0]
    assert given_up.name == "abandon_and_undo_everything"


@pytest.mark.parametrize(
    ("alarm", "next"), [("errors", "diagnostics"), ("checkout-2 refuses customers", "infrastructure")]
)
def test_nobody_has_to_look_first_where_the_alarm_names_a_node(alarm: str, next: str) -> None:
    team = {"please": "Say whether the job is done.", "plan": "Hypothesis 1: one node is ill.", "said": []}
    messages = [
        {"role": "system", "content": "You are the incident commander."},
        {"role": "user", "content": json.dumps({"alarm": alarm})},
        {"role": "user", "content": f"What your team tells you: {json.dumps(team)}"},
    ]
    word = json.loads(script.answer({"messages": messages}).content or "")
    assert word["next"] == next


def test_the_demo_says_what_is_not_as_promised() -> None:
    healed, undone, _ = SCENES
    runs = {"checkout-1": f"instance first, 4 workers, settings sha256 {short_hash(FILE)}"}
    rows: dict[str, Any] = {"operations": [("heal", "x", "undone")] * 5, "tickets": [("title", "withdrawn")]}
    before = Look(FILE, runs, {"checkout-1": os.getpid()}, False, {"operations": [], "tickets": []})
    after = replace(before, rows=rows)
    assert differences(undone, "rolled_back", before, after) == []
    assert differences(undone, "completed", before, after) == [
        "the task must end rolled_back, and it is completed"
    ]
    found = differences(undone, "rolled_back", before, replace(after, config=FILE.strip()))
    assert ["the file must have SHA-256" in line for line in found] == [True]
    found = differences(undone, "rolled_back", before, replace(after, nodes={"checkout-1": "does not run"}))
    assert ["on checkout-1 must run: instance first" in line for line in found] == [True]
    found = differences(undone, "rolled_back", before, replace(after, pids={"checkout-1": 1}))
    assert found == [f"process {os.getpid()} of checkout-1 is left behind"]
    assert len(differences(healed, "completed", before, after)) == 5
