"""What is asked of people, and how the command that answers is told."""

from __future__ import annotations

import shlex

import pytest

from counterstep.cli.exit_codes import ExitCode
from counterstep.cli.terminal.live_board import Lines, print_board
from counterstep.cli.terminal.questions import decision_lines, questions_of
from counterstep.cli.terminal.summary import exit_code_of
from counterstep.client.outcome import Outcome
from counterstep.tests.support.workflows.asks_person import ASKS

UNDO_ONE = {
    "step": "one",
    "kind": "undo",
    "ask": "the undo desk.take_back is stuck: it fails",
    "actions": ["retry", "skip", "done"],
    "since": "2026-01-01T00:00:00+00:00",
    "update": "resolve",
}


def test_each_stuck_undo_of_a_step_is_a_question_and_one_more_answers_all() -> None:
    stuck = [
        {**UNDO_ONE, "entry": "one[0]#1"},
        {**UNDO_ONE, "entry": "one[2]#2", "ask": "and another"},
        {**UNDO_ONE, "entry": "pair/1/one#1", "task": "order 1/pair#1"},
    ]
    board = {"task_id": "order 1", "waiting_for": [*stuck, ASKS]}
    decision, *undos = questions_of(board, ["--address", "a:1"])
    assert [shlex.split(command)[1] for command, _ in decision.answers] == ["decide"] * 3
    assert [undo.text for undo in undos] == [
        "one[0]: the undo desk.take_back is stuck: it fails",
        "one[2]#2: and another",
        "one: 2 undos are stuck; all of them at once:",
        "pair/1/one of the child order 1/pair#1: the undo desk.take_back is stuck: it fails",
    ]
    first = undos[0].lines()[1]
    assert first.endswith("# undo it again")
    assert shlex.split(first, comments=True) == [
        "counterstep", "resolve", "order 1", "one[0]#1", "retry", "--address", "a:1",
    ]  # fmt: skip
    assert [shlex.split(command)[4:] for command, _ in undos[1].answers] == [
        ["retry", "--address", "a:1"],
        ["skip", "--note", "WHY", "--address", "a:1"],
        ["done", "--address", "a:1"],
    ]
    named = [shlex.split(undo.answers[0][0])[2:4] for undo in undos]
    assert named == [
        ["order 1", "one[0]#1"],
        ["order 1", "one[2]#2"],
        ["order 1", "one"],
        ["order 1/pair#1", "pair/1/one#1"],
    ]
    assert questions_of({"task_id": "x", "waiting_for": None}) == []


def test_of_many_stuck_undos_some_are_told_one_by_one() -> None:
    stuck = [{**UNDO_ONE, "entry": f"one[{at}]#1"} for at in range(25)]
    questions = questions_of({"task_id": "x", "waiting_for": stuck})
    assert len(questions) == 11
    assert questions[-1].text == (
        "one: 25 undos are stuck; all of them at once; "
        "15 of them are not listed here, but by `status --json`:"
    )


def test_what_an_older_worker_asks_is_answered_by_its_step() -> None:
    (question,) = questions_of({"task_id": "x", "waiting_for": [UNDO_ONE]})
    assert question.text == "one: the undo desk.take_back is stuck: it fails"
    assert question.answers[0][0] == "counterstep resolve x one retry"


def test_an_answer_can_be_typed_as_it_is_shown() -> None:
    asked = {**ASKS, "step": "-s", "actions": ["edit"]}
    ((command, _),) = questions_of({"task_id": "-y", "waiting_for": [asked]}, ["--address", "a:1"])[0].answers
    assert command == "counterstep decide --value JSON --address a:1 -- -y -s edit"


def test_a_question_is_told_once_until_it_is_asked_again(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(["--address", "a:1"])
    board = {"task_id": "x", "state": "needs_attention", "waiting_for": [UNDO_ONE]}
    lines.show(board)
    lines.show(board)
    assert capsys.readouterr().err.count("one: the undo") == 1
    lines.show({**board, "waiting_for": [{**UNDO_ONE, "since": "2026-01-01T00:00:09+00:00"}]})
    assert capsys.readouterr().err.count("one: the undo") == 1


def test_an_effect_that_stands_is_no_skipped_step(capsys: pytest.CaptureFixture[str]) -> None:
    undo = {"step": "a", "state": "skipped", "compensation": "shop.undo", "attempts": 1, "error": "no"}
    print_board({"task": "t", "state": "rollback_incomplete", "steps": {}, "ledger": [undo]})
    (row,) = [line for line in capsys.readouterr().err.splitlines() if "shop.undo" in line]
    assert row.split()[:3] == ["✘", "a", "skipped"]


@pytest.mark.parametrize("state", ["waiting", "needs_attention"])
def test_a_task_that_waits_for_people_is_incomplete(state: str) -> None:
    assert exit_code_of(Outcome(workflow_id="a", run_id="b", state=state)) is ExitCode.INCOMPLETE


TERMS = {"show": {"amount": 20}, "deadline": "2026-01-02T03:04:05+00:00", "default": "reject"}
SHOWN = ['  shown: {"amount": 20}', "  until 2026-01-02 03:04:05 UTC; then it counts as: reject"]


def test_a_question_comes_with_its_evidence_and_its_deadline() -> None:
    (question,) = questions_of({"task_id": "x", "waiting_for": [{**ASKS, **TERMS}]})
    assert question.lines()[1:3] == SHOWN


def test_a_decision_is_told_with_who_when_and_why() -> None:
    decided = {
        "step": "ok", "ask": "Pay?", **TERMS, "action": "edit", "value": 7, "by": "eve", "note": "as agreed",
        "at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    assert decision_lines({"decisions": [decided]}) == [
        "ok: edit, by eve at 2026-01-01 00:00:00 UTC: as agreed",
        "  asked: Pay?",
        *SHOWN,
        "  instead: 7",
    ]
