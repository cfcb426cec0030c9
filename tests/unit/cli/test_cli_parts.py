"""Parts of the command line by themselves: how an end is told, and how a board becomes lines."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError
from temporalio.service import RPCError, RPCStatusCode

import counterstep
from counterstep.cli.arguments.server_target import ServerTarget, find_target
from counterstep.cli.arguments.shell_command import command_line
from counterstep.cli.errors import as_failure
from counterstep.cli.exit_codes import ExitCode
from counterstep.cli.operations.task_watch import TaskWatch
from counterstep.cli.terminal.live_board import Lines, print_board, usage_line
from counterstep.cli.terminal.output import printable
from counterstep.cli.terminal.signals import Signals
from counterstep.cli.terminal.summary import exit_code_of, print_summary
from counterstep.client.errors import TaskRefused, TaskRolledBack, failure_for
from counterstep.client.outcome import REFUSALS, Outcome, left_running, outcome_of
from counterstep.client.updates import _refusal
from counterstep.runtime.settings import SettingsError
from counterstep.saga.errors import FailureType, Fault, ServerUnavailable, SpecError

IDS = ("order-1", "run-1")
USAGE = {"model_calls": 1, "tokens": 5, "usd": 0.25, "unpriced_models": []}
DETAILS = {
    "failure": {"step": "b", "type": "Bang", "message": "no"},
    "undone": ["b", "a"],
    "not_undone": [],
    "usage": USAGE,
}


def line(what: str, step: str = "", who: str = "shop.tool", why: str = "", at: int = 0) -> dict[str, str]:
    return {"at": f"2026-01-01T00:00:{at:02}+00:00", "who": who, "what": what, "step": step, "why": why}


def entry(step: str, state: str) -> dict[str, Any]:
    return {"step": step, "state": state, "compensation": "shop.undo", "attempts": 1, "error": None}


def failed(type_: str, details: dict[str, Any] | None = None) -> ApplicationError:
    return ApplicationError("it failed", *([details] if details else []), type=type_)


@pytest.mark.parametrize(
    ("end", "state", "code"),
    [
        ({"state": "completed", "output": 1, "undone": [], "usage": USAGE}, "completed", ExitCode.COMPLETED),
        ({"anything": "else"}, "completed", ExitCode.COMPLETED),
        (failed(FailureType.ROLLED_BACK, DETAILS), "rolled_back", ExitCode.ROLLED_BACK),
        (failed(FailureType.ROLLBACK_INCOMPLETE, DETAILS), "rollback_incomplete", ExitCode.INCOMPLETE),
        (failed(FailureType.INVALID_SPEC), "rolled_back", ExitCode.BAD_USAGE),
        (failed(FailureType.INVALID_INPUT), "rolled_back", ExitCode.BAD_USAGE),
        (failed(FailureType.UNKNOWN_TASK), "rolled_back", ExitCode.BAD_USAGE),
        (failed(FailureType.INLINE_SPECS_REFUSED), "rolled_back", ExitCode.BAD_USAGE),
        (CancelledError("cancelled"), "cancelled", ExitCode.CANCELLED),
        (TerminatedError("by somebody"), "rollback_incomplete", ExitCode.INCOMPLETE),
        (failed("ValueError"), "rollback_incomplete", ExitCode.INCOMPLETE),
    ],
)
def test_every_end_has_a_state_and_an_exit_code(end: Any, state: str, code: ExitCode) -> None:
    outcome = outcome_of(end, None, IDS)
    assert (outcome.state, exit_code_of(outcome)) == (state, code)
    assert (outcome.workflow_id, outcome.run_id) == IDS


def test_a_failure_tells_what_its_details_say() -> None:
    outcome = outcome_of(failed(FailureType.ROLLED_BACK, DETAILS), None, IDS)
    assert outcome.failure == DETAILS["failure"]
    assert (outcome.undone, outcome.not_undone, outcome.usage) == (("b", "a"), (), USAGE)


@pytest.mark.parametrize("named", sorted(REFUSALS))
def test_a_failed_step_named_like_a_refusal_is_no_refusal(
    named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tool's own error, or an argument that does not fit, may come after effects."""
    failure = {"step": "mail", "type": str(named), "message": "not a number"}
    undone = failed(FailureType.ROLLED_BACK, {**DETAILS, "failure": failure})
    outcome = outcome_of(undone, None, IDS)
    assert exit_code_of(outcome) is ExitCode.ROLLED_BACK
    assert type(failure_for(outcome, [])) is TaskRolledBack
    print_summary(outcome, undone, [])
    told = capsys.readouterr().err
    assert "undone: b, a" in told
    assert "nothing was done" not in told
    stuck = {"state": "needs_attention", "failure": failure, "ledger": [entry("charge", "stuck")]}
    assert exit_code_of(left_running(stuck, IDS)) is ExitCode.INCOMPLETE
    # A workflow of one's own may end with such a type, too, and tell what it has undone.
    own = outcome_of(failed(named, {**DETAILS, "failure": failure}), None, IDS)
    assert not own.refused
    assert exit_code_of(own) is not ExitCode.BAD_USAGE


@pytest.mark.parametrize("named", sorted(REFUSALS))
def test_a_refused_task_says_that_nothing_was_done(named: str, capsys: pytest.CaptureFixture[str]) -> None:
    end = failed(named)
    outcome = outcome_of(end, None, IDS)
    assert type(failure_for(outcome, [])) is TaskRefused
    print_summary(outcome, end, [])
    assert "it failed\nRefused by the worker; nothing was done." in capsys.readouterr().err


def test_what_a_cancelled_task_has_undone_is_read_from_its_board() -> None:
    """In the order in which their last undos finished; a step with an undo missing is not undone."""
    board = {
        "state": "cancelled",
        "failure": {"step": "", "type": "Cancelled", "message": "the task was cancelled"},
        "usage": USAGE,
        "ledger": [
            entry("a", "undone"),
            entry("b", "undone"),
            entry("b", "undone"),
            entry("c", "stuck"),
            entry("c", "undone"),
            entry("d", "void"),
        ],
        "log": [line("undone", step) for step in ("b", "c", "b", "a")],
    }
    outcome = outcome_of(CancelledError("cancelled"), board, IDS)
    assert (outcome.undone, outcome.not_undone) == (("b", "a"), ("c",))
    assert outcome.usage == USAGE
    assert outcome.failure == board["failure"]


def test_without_anybody_to_ask_nothing_is_made_up() -> None:
    outcome = outcome_of(CancelledError("cancelled"), None, IDS)
    assert (outcome.undone, outcome.usage) == ((), None)
    assert outcome.failure == {"step": "", "type": "Cancelled", "message": "cancelled"}


def test_a_task_left_running_counts_as_interrupted() -> None:
    assert exit_code_of(Outcome(workflow_id="a", run_id="b", state="compensating")) is ExitCode.CANCELLED
    assert exit_code_of(Outcome()) is ExitCode.BAD_USAGE


def test_an_unexpected_error_does_not_pass_for_the_end_of_a_task() -> None:
    failure = as_failure(KeyError("x"))
    assert failure.code not in (0, 1, 2, 3, 4, 130)
    assert as_failure(SpecError([Fault("a", "b")])).faults == (Fault("a", "b"),)


def test_lines_come_once_each_though_the_log_drops_its_oldest(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    told = [line("start", "a"), line("passed", "a"), line("completed", "a", at=1), line("start", "b", at=2)]
    log = [{"n": n, **told_line} for n, told_line in enumerate(told, 1)]
    lines.show({"task_id": "order-1", "log": log[:2]})
    replayed = {**log[1], "at": "2026-01-01T00:00:00.001+00:00"}
    lines.show({"task_id": "order-1", "log": [log[0], replayed, log[2]]})
    assert capsys.readouterr().err.count("a: started") == 1
    lines.pause()
    lines.show({"task_id": "order-1", "log": log[2:]})
    assert capsys.readouterr().err == ""
    lines.resume()
    lines.show({"task_id": "order-1", "log": log[3:]})
    assert capsys.readouterr().err == "[   2.0s] b: started (shop.tool)\n"


def test_text_of_models_and_tools_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("a\x1b[2Jb\u202ec\r\nä✔") == "a\\x1b[2Jb\\x202ec\\x0d\nä✔"
    step = {
        "state": "failed",
        "tool": "\x1b]0;x\x07",
        "error": "\x1b[31mred",
        "started": None,
        "finished": None,
    }
    failure = {"step": "a", "type": "Bang", "message": "[bold]\x9b31m"}
    print_board({"task": "\x1bc", "state": "failed", "steps": {"a": step}, "failure": failure})
    shown = capsys.readouterr().err
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)
    assert "[bold]" in shown


def test_a_model_without_a_price_is_named_beside_the_sum() -> None:
    line = usage_line({**USAGE, "unpriced_models": ["ollama/x"]})
    assert line == "1 model call, 5 tokens, $0.2500 and the unknown price of ollama/x"
    usage = {"model_calls": 2, "tokens": 5, "usd": 0.0, "unpriced_models": ["ollama/x"]}
    assert usage_line(usage) == "2 model calls, 5 tokens, price of ollama/x unknown", "which is not $0"


class Leaving:
    """A task under way that is cancelled, and whose worker leaves before it has told the last board."""

    id = "order-1"

    def __init__(self) -> None:
        self._told = asyncio.Event()

    async def query(self, _: str) -> dict[str, Any]:
        if self._told.is_set():
            raise RPCError("no poller", RPCStatusCode.FAILED_PRECONDITION, b"")
        self._told.set()
        board = {"task_id": self.id, "state": "compensating", "log": [{"n": 1, **line("undone", "b")}]}
        return {**board, "ledger": [entry("a", "armed"), entry("b", "undone")]}

    async def fetch_history_events(self) -> AsyncIterator[HistoryEvent]:
        yield HistoryEvent(event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)

    async def result(self) -> None:
        await self._told.wait()
        raise WorkflowFailureError(cause=CancelledError("cancelled"))


async def test_a_board_from_before_the_end_is_not_taken_for_the_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    watch = TaskWatch(cast(WorkflowHandle[Any, Any], Leaving()), Lines(), Signals())
    seen = await watch.until_end()
    assert (seen.ended, seen.board) == (True, None)
    outcome = outcome_of(seen.end, seen.board, IDS)
    assert (outcome.state, outcome.undone, outcome.not_undone) == ("cancelled", (), ())
    assert "No worker tells what was undone; `counterstep status order-1`" in capsys.readouterr().err


def test_every_command_that_connects_reads_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("k-1\n")
    monkeypatch.setenv("TEMPORAL_API_KEY", "")
    monkeypatch.setenv("TEMPORAL_API_KEY_FILE", str(key))
    monkeypatch.setenv("COUNTERSTEP_BUNDLES", "shop:shop")
    target = find_target("a:1", None)
    assert target.config["api_key"] == "k-1"
    expected = "counterstep worker --bundle shop:shop --task-queue q --address a:1"
    assert target.worker_command("q") == expected
    monkeypatch.setenv("COUNTERSTEP_MODLE", "x")
    with pytest.raises(SettingsError, match="did you mean COUNTERSTEP_MODEL"):
        find_target("a:1", None)


async def _ask_the_absent() -> None:
    raise RPCError("tcp connect error", RPCStatusCode.UNAVAILABLE, b"")


def test_a_server_that_has_gone_is_named_with_the_next_step() -> None:
    target = ServerTarget({"target_host": "a:1"})
    with pytest.raises(ServerUnavailable) as caught:
        target.ask(_ask_the_absent())
    assert str(caught.value) == (
        "The Temporal server at a:1 does not answer any more (tcp connect error). Whatever was started is "
        "kept there. When it is back, `counterstep list --address a:1` shows it."
    )
    refused = RPCError("no", RPCStatusCode.PERMISSION_DENIED, b"")
    assert target.explain(refused) is refused


def test_the_page_of_the_commands_has_every_exit_code() -> None:
    page = (Path(counterstep.__file__).parent / "docs" / "reference" / "commands.md").read_text()
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == sorted(ExitCode)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("order-1",), "counterstep status order-1 --json --address a:1"),
        (("order 1",), "counterstep status 'order 1' --json --address a:1"),
        (("-y", "ok"), "counterstep status --json --address a:1 -- -y ok"),
    ],
)
def test_a_printed_command_can_be_typed(arguments: tuple[str, ...], line: str) -> None:
    assert command_line("status", *arguments, options=["--json"], server=["--address", "a:1"]) == line


@pytest.mark.parametrize("said", ["no key 'o'; did you mean 'ok'?", "no."])
def test_a_refusal_ends_as_a_sentence(said: str) -> None:
    refusal = _refusal("order-1", "decide", ApplicationError(said, type="InvalidInput"))
    assert str(refusal) == f"Refused: {said}"


GIVEN_UP = failed(FailureType.ROLLBACK_INCOMPLETE, {**DETAILS, "undone": ["b"], "not_undone": ["a"]})
FORCED = TerminatedError("by somebody")


@pytest.mark.parametrize(
    ("end", "recovery", "said"),
    [
        (GIVEN_UP, None, "NOT undone: a. See why, and undo it by hand, or once the cause is gone: {recover}"),
        (FORCED, None, "NOT undone: whatever it has done. Undo it: {recover}"),
        (FORCED, "completed", "undone since, by r/1: what it had done"),
        (
            FORCED,
            "running",
            "NOT undone yet: what it had done. r/1 is running: counterstep status r/1 {server}",
        ),
        (FORCED, "rollback_incomplete", "r/1 has ended before it was; try again: {recover}"),
        (failed(FailureType.ROLLED_BACK, DETAILS), None, ""),
    ],
)
def test_what_is_left_is_said_with_the_way_to_undo_it(
    end: Any, recovery: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = "--address a:1"
    known = {"workflow_id": "r/1", "state": recovery} if recovery else None
    print_summary(outcome_of(end, None, IDS).model_copy(update={"recovery": known}), end, shlex.split(server))
    shown = capsys.readouterr().err.splitlines()[-1]
    expected = said.format(recover=f"counterstep recover order-1 {server}", server=server)
    assert shown.endswith(expected) if said else "undone: b, a" in shown
