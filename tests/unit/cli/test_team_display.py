"""What people see of teams: whom they ask now, and that an answer is only what there was."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep.cli.exit_codes import ExitCode
from counterstep.cli.terminal.live_board import print_board
from counterstep.cli.terminal.summary import exit_code_of, print_summary
from counterstep.client.outcome import outcome_of
from counterstep.saga.record.step_record import StepRecord

IDS = ("order-1", "run-1")


def a_board(state: str, moves: list[dict[str, Any]], **step: Any) -> dict[str, Any]:
    at = "2030-01-01T00:00:00+00:00"
    shown = {"state": state, "team": "debate of 3", "started": at, "finished": at, **step}
    return {"task": "t", "task_id": "t-1", "state": "running", "steps": {"w": shown}, "moves": moves}


def move(call: str, state: str) -> dict[str, Any]:
    return {"call": call, "member": call.rpartition("/")[2].partition(".")[0], "state": state}


@pytest.mark.parametrize(("state", "shown"), [("running", True), ("completed", False)])
def test_a_board_tells_whom_a_team_asks_now(
    state: str, shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = [("w/ann.1", "answered"), ("w/panel.2", "running"), ("w/panel.2/strict.1", "running")]
    other = move("w2/bob.1", "running")
    print_board(a_board(state, [*(move(*call) for call in calls), other]))
    said = capsys.readouterr().err
    assert "debate of 3" in said
    assert ("asks strict" in said) is shown
    assert not {"ann", "bob", "panel"} & {*said.split()}


def test_a_board_tells_that_an_answer_is_only_what_there_was(capsys: pytest.CaptureFixture[str]) -> None:
    print_board(a_board("completed", [], degraded="no quorum"))
    assert "degraded: no quorum" in capsys.readouterr().err


def test_an_outcome_tells_which_answers_are_only_what_there_was(capsys: pytest.CaptureFixture[str]) -> None:
    end = {"state": "completed", "output": 1, "undone": [], "not_undone": [], "usage": None}
    whole = outcome_of(end, None, IDS)
    assert "degraded" not in whole.model_dump(mode="json")
    outcome = outcome_of({**end, "degraded": {"w": "no quorum"}}, None, IDS)
    assert outcome.model_dump(mode="json")["degraded"] == {"w": "no quorum"}
    print_summary(outcome, end, ())
    assert "w is degraded: no quorum" in capsys.readouterr().err
    assert exit_code_of(outcome) is ExitCode.COMPLETED


def test_an_answer_that_is_undone_is_not_degraded_any_more() -> None:
    step = StepRecord(kind="agent", target="crew.poll", degraded="no quorum")
    step.withdraw()
    assert step.degraded is None
