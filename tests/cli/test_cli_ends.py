"""How commands end where what is around them is bad: streams, interrupts, words that are not text."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from counterstep.cli.errors import CommandFailed, as_failure, as_outcome
from counterstep.cli.exit_codes import ExitCode
from counterstep.client.outcome import Outcome
from counterstep.embedded import running, stop
from counterstep.tests.support.processes.command import COMMAND, Ended, Shop, until, until_written

BUNDLE = ("--bundle", "shop:shop")

INTERRUPTED_IMPORT = """
import sys
from counterstep.cli import main

class Interrupt:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
main()
"""

FIRST_FREE_NUMBER = """
import os, sys
from counterstep.cli.terminal.streams import open_streams
open_streams()
sys.stderr.write(f"{os.open(os.devnull, os.O_RDONLY)} {sys.stdin.read()!r}")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A folder without any server."""
    return Shop.open(tmp_path)


def redirected(shop: Shop, streams: str, *words: str, program: tuple[str, ...] = tuple(COMMAND)) -> Ended:
    """Runs a program from nothing, as a shell starts it with its streams led elsewhere."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {streams}', "sh", *program, *words],
        cwd=shop.folder,
        env=shop.variables(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


# --- streams


def test_stdout_has_the_data_and_nothing_else(shop: Shop) -> None:
    noisy = "import os\nos.write(1, b'by its number')\nprint('by its name')\nfrom shop import shop\n"
    (shop.folder / "noisy.py").write_text(noisy)
    done = shop.run("check", "order.yaml", "--bundle", "noisy:shop", "--json")
    assert (done.code, done.out) == (0, "[]\n")
    assert {"by its number", "by its name"} <= set(done.err.replace("number", "number\n").splitlines())


@pytest.mark.long
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a full disk at hand")
@pytest.mark.parametrize("streams", ["2>/dev/full", "2>&-"])
def test_whoever_cannot_read_what_is_said_changes_no_exit_code(shop: Shop, streams: str) -> None:
    assert redirected(shop, streams, "check", "order.yaml", *BUNDLE).code == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a full disk at hand")
def test_data_that_is_lost_is_told(shop: Shop) -> None:
    done = redirected(shop, ">/dev/full", "schema")
    assert (done.code, len(done.err.splitlines())) == (ExitCode.IO_FAILED, 1)
    assert "cannot be written (No space left on device)" in done.err


def test_no_file_gets_the_number_of_a_closed_stream(shop: Shop) -> None:
    done = redirected(shop, "<&- >&-", program=(sys.executable, "-c", FIRST_FREE_NUMBER))
    assert done.err == "3 ''"


def test_the_help_of_a_command_is_data(shop: Shop) -> None:
    done = shop.run("run", "--help")
    assert (done.code, done.err, done.out[:6]) == (0, "", "Usage:")


# --- interrupts


@pytest.mark.parametrize(("module", "words"), [("typer", 0), ("temporalio.bridge", 1)])
def test_an_interrupt_while_something_is_loaded_is_no_traceback(shop: Shop, module: str, words: int) -> None:
    script = INTERRUPTED_IMPORT.format(module=module)
    done = redirected(shop, "", "status", "x", "--json", program=(sys.executable, "-c", script))
    assert (done.code, len(done.err.splitlines())) == (130, words)
    assert not words or done.json["failure"]["type"] == "Interrupted"


def test_after_half_an_import_an_error_still_has_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "temporalio.service", ModuleType("temporalio.service"))
    assert as_failure(ImportError("partially initialized")).code is ExitCode.INTERNAL


def opens(pid: int, file: Path) -> bool:
    links = Path(f"/proc/{pid}/fd").iterdir()
    return any(link.is_symlink() and os.path.realpath(link) == str(file) for link in links)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_that_is_interrupted_while_it_starts_does_not_stay(shop: Shop) -> None:
    said, lock = shop.folder / "said", shop.folder / ".counterstep" / "start.lock"
    lock.parent.mkdir()
    with lock.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        starting = shop.start("server", stderr=said)
        until(lambda: opens(starting.pid, lock), "the start")
        starting.send_signal(signal.SIGINT)
        until_written(said, "Interrupted; the server is stopped once it has started.")
    try:
        assert starting.wait(90) == 0
        assert "Temporal at" not in said.read_text()
        assert running(shop.folder) is None
    finally:
        starting.kill()
        stop(shop.folder, grace=0)


# --- what --json prints of a failure


def test_the_object_of_a_failure_is_an_outcome() -> None:
    failure = CommandFailed("no", type="Why")
    expected = Outcome(workflow_id="a", failure={"step": "", "type": "Why", "message": "no"})
    assert as_outcome(failure, "a") == expected.model_dump(mode="json")
    failure.ids = ("b", "r")
    assert as_outcome(failure, "a") == expected.model_copy(
        update={"workflow_id": "b", "run_id": "r", "state": "running"}
    ).model_dump(mode="json")


@pytest.mark.parametrize(
    ("words", "id", "type"),
    [
        (("check", "order.yaml", "--bundle", "nothing:here"), None, "DefinitionError"),
        (("decide", "x", "step", "complete", "--value", "{"), "x", "InvalidSpec"),
        (("list", "--address", "nowhere"), None, "ServerUnavailable"),
        (("cancel", "x", "--wait", "--address", "localhost:99999"), "x", "ServerUnavailable"),
        (("run", "order.yaml", "--id", "x"), None, "InvalidSpec"),
        (("status", " "), " ", "BadUsage"),
        (("server", "--port", "7", "--ui-port", "7"), None, "BadUsage"),
    ],
)
def test_a_failure_is_one_object(shop: Shop, words: tuple[str, ...], id: str | None, type: str) -> None:
    done = shop.run(*words, "--json")
    assert done.code in (ExitCode.BAD_USAGE, ExitCode.NO_SERVER)
    assert (done.json["workflow_id"], done.json["failure"]["type"]) == (id, type)
    assert done.json["failure"]["message"] in done.err


def test_a_schema_is_json_with_and_without_the_option(shop: Shop) -> None:
    assert shop.run("schema").json == shop.run("schema", "--json").json


# --- mistakes that are not faults of ours


def test_what_the_system_refuses_is_no_fault_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = as_failure(OSError(errno.ENOSPC, "No space left on device"))
    assert (full.code, str(full)) == (
        ExitCode.IO_FAILED,
        "The operating system refuses: No space left on device.",
    )
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError) as caught:
        Path.cwd()
    failure = as_failure(caught.value)
    assert (failure.code, "working directory" in str(failure)) == (ExitCode.BAD_USAGE, True)


def test_a_word_that_is_no_text_is_named(shop: Shop) -> None:
    done = shop.run("status", "x\udcff", "--json")
    assert (done.code, done.err) == (2, "'x\\udcff' is not UTF-8 text.\n")
    assert done.json["workflow_id"] is None


def test_an_empty_stdin_is_named(shop: Shop) -> None:
    done = shop.run("start", "order.yaml", "--input-file", "-")
    assert (done.code, done.err) == (2, "stdin: is empty; write JSON or YAML, e.g. {}\n")


def test_a_path_is_no_module(shop: Shop) -> None:
    done = shop.run("check", "order.yaml", "--bundle", "../shop:shop")
    assert (done.code, done.err) == (
        2,
        "Bundle '../shop:shop': write it as module:attribute, e.g. shop.bundle:shop\n",
    )
