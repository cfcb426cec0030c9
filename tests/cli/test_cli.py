"""The command line, as processes: what it prints where, what it exits with, and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml

from counterstep.cli.arguments.values import read_values
from counterstep.embedded import EmbeddedServer, running, stop
from counterstep.runtime import connection
from counterstep.runtime.connection import connect, read_connection
from counterstep.saga.errors import ServerUnavailable, SpecError
from counterstep.tests.support.processes.command import ORDER, Ended, Shop, Terminal, until, until_written

BUNDLE = ("--bundle", "shop:shop")
SLOW = {
    "litellm",
    "openai",
    "temporalio.client",
    "temporalio.worker",
    "counterstep.plugin",
    "counterstep.worker",
}
QUEUE = "cli-tests"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A folder without any server."""
    return Shop.open(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def worker(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A worker of the queue `QUEUE`; it takes its seconds to start beside the tests that do not need it."""
    folder = tmp_path_factory.mktemp("served")
    shop = Shop.open(
        folder,
        TEMPORAL_ADDRESS=server.address,
        COUNTERSTEP_TASK_QUEUE=QUEUE,
        COUNTERSTEP_INLINE_SPECS="true",
    )
    process = shop.start("worker", *BUNDLE, stderr=folder / "worker.log")
    yield shop
    until_written(folder / "worker.log", "worker started")
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0, (folder / "worker.log").read_text()


@pytest.fixture(scope="module")
def served(worker: Shop) -> Shop:
    """A folder whose commands use the tests' server and the queue `QUEUE`, which has a worker."""
    until_written(worker.folder / "worker.log", "worker started")
    return worker


def assert_nothing_started(shop: Shop) -> None:
    assert not (shop.folder / ".counterstep").exists()
    assert shop.log() == []


# --- without a server


def quickly(shop: Shop, *arguments: str) -> Ended:
    """Runs a command that must load neither Temporal's client nor models, which takes seconds."""
    done = shop.run_from_nothing(*arguments, PYTHONPROFILEIMPORTTIME="1")
    said: list[str] = []
    loaded: set[str] = set()
    for line in done.err.splitlines(keepends=True):
        if line.startswith("import time:"):
            loaded.add(line.rpartition("|")[2].strip())
        else:
            said.append(line)
    assert "counterstep.cli.app" in loaded
    assert not loaded & SLOW
    return replace(done, err="".join(said))


def test_help_lists_the_commands_there_are_and_no_others(shop: Shop) -> None:
    done = quickly(shop, "--help")
    assert done.code == 0
    commands = {line.split()[0] for line in done.out.partition("Commands:")[2].splitlines() if line.strip()}
    told = "run start status watch result cancel list resolve decide approve reject amend recover sweep check"
    others = {
        "a2a",
        "catalog",
        "decisions",
        "explore",
        "fork",
        "graph",
        "inbox",
        "mcp",
        "limits",
        "new",
        "publish",
        "schema",
        "server",
        "worker",
    }
    assert commands == {*told.split(), *others}


@pytest.mark.parametrize("spec", ["order.yaml", "shop.order"])
def test_check_says_yes_in_one_line(shop: Shop, spec: str) -> None:
    done = quickly(shop, "check", spec, *BUNDLE)
    assert (done.code, done.out, done.err) == (0, "", f"{spec}: no faults\n")


def test_check_names_every_fault_with_its_path(shop: Shop) -> None:
    bad = ORDER.replace("tool: shop.reserve", "tool: shop.reserv", 1).replace("[first]", "[frist]")
    (shop.folder / "bad.yaml").write_text(bad)
    done = shop.run("check", "bad.yaml", "--json", *BUNDLE)
    assert done.code == 2
    assert [fault["path"] for fault in done.json] == ["steps[0].tool", "steps[1].needs[0]"]
    told = "steps[0].tool: there is no tool 'shop.reserv'; did you mean 'shop.reserve'? (line 11, column 5)"
    assert told in done.err
    assert [(fault["line"], fault["column"]) for fault in done.json] == [(11, 5), (14, 13)]
    assert {fault["severity"] for fault in done.json} == {"fault"}
    assert "did you mean 'first'?" in done.json[1]["message"]


def test_check_warns_of_what_fails_only_in_some_cases(shop: Shop) -> None:
    text = ORDER.replace("    needs: [first]", "    when: has(task.delay)").replace(
        "steps.first.", "steps.second."
    )
    (shop.folder / "some.yaml").write_text(text)
    done = shop.run("check", "some.yaml", "--json", *BUNDLE)
    assert (done.code, [(each["path"], each["severity"]) for each in done.json]) == (
        0,
        [("output.took", "warning")],
    )
    assert "warning: output.took: steps.second.output.sku is null where 'second' is skipped" in done.err
    assert "some.yaml: no faults" in done.err


def test_check_says_that_no_bundle_is_loaded(shop: Shop) -> None:
    done = shop.run("check", "order.yaml")
    assert done.code == 2
    assert "No bundle is loaded; name yours with --bundle" in done.err


def test_schema_is_one_that_accepts_the_specs(shop: Shop) -> None:
    schema = shop.run("schema").json
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(ORDER), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**yaml.safe_load(ORDER), "stepz": []}, schema)


REFUSED = {
    ("run", "order.yaml", "--imput", "sku=A"): "No such option: --imput",
    ("run", "garbage.yaml"): "garbage.yaml:1:",
    ("run", "nowhere.yaml"): "nowhere.yaml: cannot be read: No such file",
    ("run", "shop.ordr"): "no registered task 'shop.ordr'; did you mean 'shop.order'?",
    ("run", "shop.order"): "input: 'sku' is missing",
    ("run", "order.yaml", "--input", "sku"): "'sku' has another shape than NAME=VALUE",
    ("run", "order.yaml", "--input-file", "garbage.yaml"): "garbage.yaml:1:",
    ("run", "order.yaml", "--bundle", "shop:shp"): "has no 'shp'; it has shop",
    ("run", "order.yaml", "--bundle", "leaves:shop"): "leaves cannot be imported: SystemExit",
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Ended]:
    """What becomes of bad input, all in one folder."""
    shop = Shop.open(tmp_path_factory.mktemp("refusals"))
    (shop.folder / "garbage.yaml").write_text("{name: [")
    (shop.folder / "leaves.py").write_text("raise SystemExit(0)")
    ended = shop.run_together(*[(*arguments, *BUNDLE) for arguments in REFUSED])
    assert_nothing_started(shop)
    return dict(zip(REFUSED, ended, strict=True))


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_bad_input_is_refused_before_anything_starts(
    refusals: dict[tuple[str, ...], Ended], arguments: tuple[str, ...]
) -> None:
    done = refusals[arguments]
    assert (done.code, done.out) == (2, "")
    assert REFUSED[arguments] in done.err


def test_all_faults_of_spec_and_input_come_at_once_and_as_json(shop: Shop) -> None:
    (shop.folder / "bad.yaml").write_text(ORDER.replace("[first]", "[frist]"))
    done = shop.run("run", "bad.yaml", "--input", "delay=now", "--json", *BUNDLE)
    assert done.code == 2
    for said in ("steps[1].needs[0]: ", "input: 'sku' is missing", "input.delay: "):
        assert said in done.err
        assert said in done.json["failure"]["message"]
    assert done.json["failure"]["type"] == "InvalidSpec"
    assert (done.json["workflow_id"], done.json["state"], done.json["undone"]) == (None, None, [])
    assert_nothing_started(shop)


def test_a_task_that_nobody_would_work_on_is_not_started(shop: Shop) -> None:
    done = shop.run("run", "order.yaml", "--input", "sku=A")
    assert done.code == 2
    assert "name its bundle with --bundle" in done.err
    assert_nothing_started(shop)


def test_a_wrong_address_fails_at_once(shop: Shop) -> None:
    run = ("run", "order.yaml", "--input", "sku=A", *BUNDLE)
    wrong = ("--json", "--address", "127.0.0.1:1")
    ended = shop.run_together((*run, *wrong), ("status", "x", *wrong), ("cancel", "x", *wrong))
    for done in ended:
        assert done.code == 4
        assert "No Temporal server can be used at 127.0.0.1:1: Connection refused. Start one" in done.err
    assert ended[0].json["failure"]["type"] == "ServerUnavailable"
    assert_nothing_started(shop)


async def test_a_refused_connection_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 100)
    async with asyncio.timeout(50):
        with pytest.raises(ServerUnavailable, match="Connection refused"):
            await connect(read_connection("127.0.0.1:1"))


async def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.CONNECT_SECONDS == 5
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(ServerUnavailable, match="accepts the connection but does not answer within"):
            await connect(read_connection(f"127.0.0.1:{mute.getsockname()[1]}"))


async def test_a_port_that_there_cannot_be_is_a_mistake_of_the_user() -> None:
    with pytest.raises(ServerUnavailable, match="localhost:99999: invalid"):
        await connect(read_connection("localhost:99999"))


@pytest.mark.parametrize("address", ["http://127.0.0.1:7233", "nonsense"])
async def test_an_address_of_another_shape_is_named(address: str) -> None:
    with pytest.raises(ServerUnavailable, match="write it as host:port"):
        await connect(read_connection(address))


# --- the parts of a request


@pytest.mark.parametrize(
    ("pairs", "read"),
    [
        (
            ["a=1", "b=text", "c=[1, 2]", "d=", "e=x=y"],
            {"a": 1, "b": "text", "c": [1, 2], "d": "", "e": "x=y"},
        ),
        (["a=NaN", "b=-Infinity"], {"a": "NaN", "b": "-Infinity"}),
        (["a=null", "b=true", 'c="5"'], {"a": None, "b": True, "c": "5"}),
        ([], {}),
    ],
)
def test_a_value_is_json_where_it_can_be_and_text_where_not(pairs: list[str], read: object) -> None:
    assert read_values(pairs, None, option="--input", root="input") == read


def test_single_values_go_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "input.yaml"
    file.write_text("a: 1\nb: 2\n")
    assert read_values(["b=3"], str(file), option="--input", root="input") == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("pairs", "file", "said"),
    [
        (["a=1", "a=2"], None, ["--input a: is given twice"]),
        (["a", "=b"], None, ["'a' has another shape", "'=b' has another shape"]),
        (["a=1e999"], None, ["input.a: inf is not a JSON number"]),
        (['a="\\ud800"'], None, ["input.a: has half of a character"]),
        (
            ["a=" + "x" * 1_000_001],
            None,
            ["input: has 1000010 bytes; at most 1000000 are allowed"],
        ),
        (["a=1"], "[1, 2]", ["is not a mapping, so --input cannot add to it"]),
        (["a"], "{b: [", ["'a' has another shape", "input.yaml:1:"]),
        ([], b"\xff\xfe", ["is not UTF-8 text"]),
        ([], " " * 1_000_001, ["is too large; at most 1000000 bytes are allowed"]),
    ],
)
def test_an_input_that_is_no_json_has_all_its_faults_named(
    tmp_path: Path, pairs: list[str], file: str | bytes | None, said: list[str]
) -> None:
    path = tmp_path / "input.yaml"
    if file is not None:
        path.write_bytes(file if isinstance(file, bytes) else file.encode())
    with pytest.raises(SpecError) as caught:
        read_values(pairs, None if file is None else str(path), option="--input", root="input")
    assert len(caught.value.faults) == len(said)
    assert all(each in str(caught.value) for each in said)


# --- with the embedded server and a worker in the command itself


def test_run_needs_nothing_but_the_folder(shop: Shop) -> None:
    try:
        done = shop.run("run", "buys.yaml", "--json", "--id", "buys-1", *BUNDLE)
        assert done.code == 0, done.err
        lines = done.err.splitlines()
        assert lines[0].startswith("No model is set (COUNTERSTEP_MODEL): a stand-in plays the model agents.")
        server = running(shop.folder)
        assert server is not None
        assert lines[1] == f"buys-1 {server.ui_url}/namespaces/default/workflows/buys-1"
        assert any("buy: completed (shop.buyer)" in line for line in lines)
        assert (done.json["workflow_id"], done.json["state"], done.json["failure"]) == (
            "buys-1",
            "completed",
            None,
        )
        assert done.json["usage"]["model_calls"] == 1
        assert "temporalio" not in done.err
        log = (shop.folder / ".counterstep" / "run.log").read_text()
        assert "task started" in log and "workflow_id=buys-1" in log

        again = shop.run("run", "buys.yaml", "--json", "--id", "buys-1", *BUNDLE)
        assert again.code == 0
        assert again.json == done.json
        assert "has been started before" in again.err

        board = shop.run("status", "buys-1", "--json")
        assert board.code == 0
        assert (board.json["task"], board.json["state"]) == ("buys", "completed")
        assert "; this is what the server knows. It is partial:" in board.err
        assert board.json["partial"] is True
        assert "the queue" in board.json["partial_because"]

        stopped = shop.run("server", "--stop", "--json")
        assert (stopped.code, stopped.json) == (0, {"stopped": True})
        assert running(shop.folder) is None
    finally:
        stop(shop.folder, grace=0)


def test_a_task_that_is_left_goes_on_with_the_worker_that_was_named(shop: Shop) -> None:
    """The running call finishes first, and what was done is not done again."""
    shop.hold("reserve A")
    try:
        arguments = ("run", "order.yaml", "--input", "sku=A", "--id", "left", *BUNDLE)
        terminal = Terminal(shop, *arguments)
        until(lambda: terminal.shows("left") and "begin A" in shop.log(), "the first step")
        terminal.process.send_signal(signal.SIGINT)
        until(lambda: terminal.shows("[l]eave it running"), "the question")
        terminal.type("l\n")
        until(lambda: terminal.shows("Calls that are running may finish first"), "its leaving")
        shop.let_go("reserve A")
        assert terminal.close() == 130
        (printed,) = [line for line in terminal.seen.splitlines() if "counterstep worker" in line]

        words = printed.partition("counterstep worker ")[2].split()
        assert words == ["--bundle", "shop:shop", "--task-queue", "counterstep:left"]
        log = shop.folder / "worker.err"
        worker = shop.start("worker", *words, stderr=log)
        until_written(log, "worker started")
        seen = shop.run(*arguments[:-2], "--json")
        assert (seen.code, seen.json["output"]) == (0, {"took": "A"}), seen.err
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(90) == 0, log.read_text()
        assert shop.log() == ["begin A", "reserve A", "begin more", "reserve more"]
    finally:
        stop(shop.folder, grace=0)


def test_server_runs_until_it_is_interrupted(shop: Shop) -> None:
    log = shop.folder / "server.err"
    process = shop.start("server", "--json", stderr=log)
    try:
        until_written(log, "Web UI at http://127.0.0.1:")
        server = running(shop.folder)
        assert server is not None
        again = shop.run("server", "--json")
        known = {"address": server.address, "ui_url": server.ui_url, "pid": server.pid}
        assert (again.code, again.json) == (0, known)
        assert f"It runs already: Temporal at {server.address}, Web UI at {server.ui_url}" in again.err
        assert "`counterstep server --stop` ends it." in again.err
        moved = shop.run("server", "--port", str(server.port + 1))
        assert (moved.code, "to move it, end it first" in moved.err) == (4, True)
        assert running(shop.folder) == server
        assert "The server of this folder is stopped" not in log.read_text()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=90)
        assert process.returncode == 0
        assert json.loads(out)["address"] == server.address
        assert running(shop.folder) is None
    finally:
        process.kill()
        process.wait()
        stop(shop.folder, grace=0)


# --- against a service with workers


def test_a_registered_task_runs_by_its_name(served: Shop) -> None:
    arguments = ("run", "shop.order", "--input-file", "-", "--input", "sku=B", "--id", "seen")
    done = served.run(*arguments, stdin='{"sku": "piped"}')
    assert done.code == 0, done.err
    assert done.json == {"took": "B"}
    assert "take: completed (shop.reserve)" in done.err
    assert "printed by a tool" not in done.out


def test_status_prints_the_board(served: Shop) -> None:
    board = served.run("status", "seen", "--json").json
    assert (board["task"], board["state"]) == ("shop.order", "completed")
    assert board["steps"]["take"]["output"] == {"sku": "B"}
    assert {"ledger", "usage", "budget", "waiting_for", "failure", "log"} <= set(board)
    people = served.run("status", "seen")
    assert (people.code, people.out) == (0, "")
    assert "shop.reserve" in people.err


@pytest.mark.parametrize("command", ["status", "cancel"])
def test_a_task_that_is_not_there_is_named(served: Shop, command: str) -> None:
    done = served.run(command, "never-started")
    assert done.code == 2
    assert "There is no task 'never-started' in the namespace 'default'." in done.err


def test_cancel_of_a_task_that_has_ended_is_refused(served: Shop) -> None:
    done = served.run("cancel", "seen")
    assert done.code == 2
    assert "seen cannot be cancelled: it has ended already (completed)" in done.err


def test_a_failed_task_exits_with_1_and_says_what_was_undone(served: Shop) -> None:
    done = served.run("run", "fails.yaml", "--input", "sku=A", "--json")
    assert done.code == 1, done.err
    assert done.json["state"] == "rolled_back"
    assert done.json["failure"]["step"] == "last"
    assert done.json["failure"]["type"] == "Bang"
    assert (done.json["undone"], done.json["not_undone"]) == (["second", "first"], [])
    assert set(done.json) == {
        "workflow_id", "run_id", "state", "output", "failure", "undone", "not_undone", "usage",
        "forced_end", "recovery",
    }  # fmt: skip
    assert {"model_calls", "tokens", "usd"} <= set(done.json["usage"])
    assert "undone: second, first" in done.err
    assert "\x1b" not in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_and_waits_for_the_undos(served: Shop, number: signal.Signals) -> None:
    sku = f"cancelled-by-{number.name}"
    log = served.folder / f"{sku}.err"
    process = served.start(
        "run", "order.yaml", "--input", f"sku={sku}", "--input", "delay=30", "--json", stderr=log
    )
    until(lambda: f"reserve {sku}" in served.log(), "the first step")
    process.send_signal(number)
    out, _ = process.communicate(timeout=90)
    assert process.returncode == 130, log.read_text()
    outcome = json.loads(out)
    assert (outcome["state"], outcome["failure"]["type"]) == ("cancelled", "Cancelled")
    assert outcome["undone"][-1] == "first"
    assert outcome["usage"]["model_calls"] == 0
    assert f"release {sku}" in served.log()


def test_a_second_signal_leaves_at_once(served: Shop) -> None:
    log = served.folder / "leaves.err"
    arguments = (
        "run",
        "order.yaml",
        "--input",
        "sku=leaves",
        "--input",
        "delay=30",
        "--id",
        "leaves",
        "--json",
    )
    served.hold("release leaves")
    try:
        process = served.start(*arguments, stderr=log)
        until(lambda: "reserve leaves" in served.log(), "the first step")
        process.send_signal(signal.SIGINT)
        until_written(log, "A second signal (Ctrl-C) leaves at once")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=90)
    finally:
        served.let_go("release leaves")
    assert process.returncode == 130
    assert json.loads(out)["state"] in ("running", "compensating")
    assert "leaves is left running" not in log.read_text()
    assert "leaves goes on with its undos" in log.read_text()


def test_an_id_is_started_once(served: Shop) -> None:
    """G19: the same again reports, anything else is refused, and nothing runs a second time."""
    first = served.run("run", "shop.order", "--input", "sku=once", "--id", "once", "--json")
    again = served.run("run", "shop.order", "--input", "sku=once", "--id", "once", "--json")
    other = served.run("run", "shop.order", "--input", "sku=twice", "--id", "once", "--json")
    spec = served.run("run", "order.yaml", "--input", "sku=once", "--id", "once")
    assert (first.code, again.code, other.code, spec.code) == (0, 0, 2, 2)
    assert again.json == first.json
    assert "is in use with another input" in other.err
    assert (other.json["failure"]["type"], other.json["workflow_id"]) == ("IdInUse", None)
    assert "belongs to a task of type shop.order" in spec.err
    assert served.log().count("begin once") == 1


def test_commands_that_start_an_id_at_once_watch_one_task(served: Shop) -> None:
    arguments = ("run", "order.yaml", "--input", "sku=race", "--input", "delay=1", "--id", "race", "--json")
    logs = [served.folder / f"race-{number}.err" for number in range(3)]
    racers = [served.start(*arguments, stderr=log) for log in logs]
    outcomes = [json.loads(racer.communicate(timeout=100)[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert len({outcome["run_id"] for outcome in outcomes}) == 1
    assert sum("has been started before" in log.read_text() for log in logs) == 2
    assert served.log().count("begin race") == 1


def test_no_worker_on_the_queue_is_said_at_once(served: Shop) -> None:
    done = served.run(
        "run", "shop.order", "--input", "sku=A", "--id", "lonely", "--task-queue", "nobody", "--json"
    )
    assert done.code == 4
    assert "No worker polls the queue 'nobody'" in done.err
    assert "counterstep worker --bundle MODULE:ATTRIBUTE --task-queue nobody --address" in done.err
    assert done.json["failure"]["type"] == "NoWorker"
    assert done.json["workflow_id"] is None


def test_what_the_workers_refuse_exits_with_2(served: Shop) -> None:
    unknown = served.run("run", "shop.ordr", "--json")
    assert unknown.code == 2
    assert unknown.json["failure"]["type"] == "UnknownTask"
    *_, why, what = unknown.err.splitlines()
    assert why.endswith("did you mean 'shop.order'?")
    assert what == "Refused by the worker; nothing was done."

    (served.folder / "unknown.yaml").write_text(ORDER.replace("tool: shop.", "tool: shap."))
    spec = served.run("run", "unknown.yaml", "--input", "sku=A")
    assert spec.code == 2
    assert "steps[0].tool: there is no tool 'shap.reserve'" in spec.err
    assert "steps[1].tool" in spec.err
    assert "Refused by the worker; nothing was done." in spec.err


def test_cancel_waits_for_the_undos(served: Shop) -> None:
    arguments = ("run", "order.yaml", "--input", "sku=stop", "--input", "delay=30", "--id", "stop", "--json")
    runner = served.start(*arguments, stderr=served.folder / "stop.err")
    until(lambda: "reserve stop" in served.log(), "the first step")
    done = served.run("cancel", "stop", "--wait", "--json")
    assert done.code == 130, done.err
    assert (done.json["state"], done.json["undone"][-1:]) == ("cancelled", ["first"]), done.err
    assert runner.wait(90) == 130
    again = served.run("cancel", "stop")
    assert (again.code, "has been cancelled before" in again.err) == (0, True)


def test_a_namespace_that_is_not_there_is_named(served: Shop) -> None:
    done = served.run("status", "x", "--namespace", "elsewhere")
    assert done.code == 4
    assert "elsewhere" in done.err


# --- at a terminal


def test_at_a_terminal_an_interrupt_asks_first(served: Shop) -> None:
    arguments = ("run", "order.yaml", "--input", "sku=asked", "--input", "delay=30", "--id", "asked")
    terminal = Terminal(served, *arguments)
    until(lambda: terminal.shows("asked") and "begin asked" in served.log(), "the first step")
    terminal.process.send_signal(signal.SIGINT)
    until(lambda: terminal.shows("[c]ancel and undo, [l]eave it running, or [g]o on?"), "the question")
    terminal.type("what?\n")
    until(lambda: terminal.shows("Type c (cancel), l (leave) or g (go on)"), "the question again")
    terminal.type("continue\n")
    terminal.seen = ""
    until(lambda: terminal.shows("running"), "the board again")
    terminal.process.send_signal(signal.SIGINT)
    until(lambda: terminal.shows("[g]o on?"), "the second question")
    terminal.type("l\n")
    assert terminal.close() == 130
    assert "asked is left running" in terminal.seen

    terminal = Terminal(served, *arguments)
    until(lambda: terminal.shows("has been started before"), "the same task")
    terminal.process.send_signal(signal.SIGINT)
    until(lambda: terminal.shows("[g]o on?"), "the question")
    terminal.type("c\n")
    assert terminal.close() == 130
    assert "Cancelling" in terminal.seen and "cancelled" in terminal.seen
    assert "release asked" in served.log()
