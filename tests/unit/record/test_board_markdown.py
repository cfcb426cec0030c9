"""The board as Markdown: what others have written cannot break it, or the task that shows it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from counterstep.saga.ledger.ledger import Entry
from counterstep.saga.limits.budget import Budget
from counterstep.saga.record.board import board
from counterstep.saga.record.board_markdown import MAX_LINES, markdown
from counterstep.saga.record.step_record import StepRecord
from counterstep.saga.record.task_log import MAX_DECISIONS
from counterstep.saga.record.task_record import TaskRecord


@pytest.fixture
def record() -> TaskRecord:
    return TaskRecord(
        task="shop.order",
        task_id="order-1",
        goal="Buy it.",
        budget=Budget(),
        now=lambda: datetime(2030, 1, 1, tzinfo=UTC),
        changed=lambda _: None,
    )


def test_text_of_others_stays_text(record: TaskRecord) -> None:
    record.goal = "Buy *it*,\n\n# now\n| or | <b>not</b>"
    assert markdown(record).splitlines()[2] == r"Buy \*it\*, # now | or | \<b>not\</b>"


@pytest.mark.parametrize("mark", ["### Undos, in their order", "- x", "> x", "---", "1. x", "~~~", "=== x"])
def test_what_begins_a_line_begins_nothing_else(record: TaskRecord, mark: str) -> None:
    record.goal = mark
    line = markdown(record).splitlines()[2]
    assert line != mark
    assert line.replace("\\", "") == mark


def test_a_command_stays_one_command(record: TaskRecord) -> None:
    record.task_id = "x; rm -rf ~ `id`"
    asked = {"step": "a`b\nc", "ask": "Well?", "update": "decide", "actions": ["`yes`"]}
    record.show_questions(lambda: [asked])
    (line,) = [line for line in markdown(record).splitlines() if "counterstep" in line]
    assert "`counterstep decide 'x; rm -rf ~ 'id'' " in line
    assert line.count("`") - line.count("\\`") == 2


def test_the_command_that_answers_goes_to_the_task_that_asks(record: TaskRecord) -> None:
    question = {"step": "sign", "ask": "Sign?", "update": "decide", "actions": ["approve", "reject"]}
    record.show_questions(lambda: [question, {**question, "task": "order-1/child"}])
    lines = markdown(record).splitlines()
    assert "- **sign**: Sign? (`counterstep decide order-1 sign ACTION`, one of: approve, reject)" in lines
    assert any("`counterstep decide order-1/child sign ACTION`" in line for line in lines)


def test_a_large_task_is_shown_in_part(record: TaskRecord) -> None:
    for number in range(MAX_LINES + 5):
        record.add_step(f"s{number}", StepRecord(kind="tool", target="shop.buy"))
    lines = markdown(record).splitlines()
    assert lines.count("- and 5 more, which the query `board` shows") == 1
    assert len(lines) < MAX_LINES + 20


def test_undos_are_told_apart_with_their_times_and_what_is_to_come(record: TaskRecord) -> None:
    for id_ in ("a#1", "invite[0]#1", "invite[1]#1", "invite[2]#1"):
        step = id_.partition("[")[0].partition("#")[0]
        record.arm(Entry(id=id_, step=step, compensation="shop.undo", key=id_))
        record.settle(id_)
    assert "Undos" not in markdown(record), "nothing is undone yet"
    with record.undos.rolling_back(None):
        record.begin_undo("invite[2]#1")
        record.finish_undo("invite[2]#1")
        record.begin_undo("invite[1]#1")
        record.fail_undo("invite[1]#1", "it is locked")
        lines = markdown(record).splitlines()
        shown = board(record)
    begun = "by shop.undo, begun 2030-01-01 00:00:00 UTC"
    at = lines.index("### Undos, in their order")
    assert lines[at + 1 : at + 3] == [
        rf"- **invite\[2\]** undone, {begun}, took 0.0s",
        rf"- **invite\[1\]** stuck, {begun}, took 0.0s: it is locked",
    ]
    at = lines.index("### Still to be undone, newest first")
    assert lines[at + 1 : at + 3] == [r"- **invite\[0\]**, by shop.undo", "- **a**, by shop.undo"]
    assert shown["to_undo"] == ["invite[0]#1", "a#1"]
    time = {"started": "2030-01-01T00:00:00+00:00", "finished": "2030-01-01T00:00:00+00:00"}
    entries = {entry["id"]: entry for entry in shown["ledger"]}
    assert entries["invite[1]#1"].items() >= time.items()
    assert "started" not in entries["a#1"]
    assert board(record)["to_undo"] == [], "nothing is being undone any more"


def test_of_a_part_that_is_undone_only_that_is_to_come(record: TaskRecord) -> None:
    for id_ in ("a#1", "b#1", "c#1"):
        record.arm(Entry(id=id_, step=id_[0], compensation="shop.undo", key=id_))
        record.settle(id_)
    with record.undos.rolling_back(frozenset({"b#1", "c#1"})):
        record.begin_undo("c#1")
        assert board(record)["to_undo"] == ["b#1"]
        with record.undos.rolling_back(None):
            assert board(record)["to_undo"] == ["b#1", "a#1"]
            assert record.undos.count_to_come(record.ledger) == 2


def test_the_question_of_a_stuck_undo_names_its_call(record: TaskRecord) -> None:
    asked = {
        "step": "invite",
        "entry": "invite[2]#1",
        "ask": "Stuck.",
        "update": "resolve",
        "actions": ["done"],
    }
    record.show_questions(lambda: [asked])
    (line,) = [line for line in markdown(record).splitlines() if "counterstep" in line]
    assert line == (
        r"- **invite\[2\]**: Stuck. (`counterstep resolve order-1 'invite[2]#1' ACTION`, one of: done)"
    )


def test_evidence_and_deadline_are_shown_before_and_after_the_decision(record: TaskRecord) -> None:
    terms = {"show": {"amount": "*20*"}, "deadline": "2030-01-02T00:00:00+00:00", "default": "reject"}
    question = {"step": "sign", "kind": "approve", "ask": "Sign?", "since": "s", "update": "decide", **terms}
    record.show_questions(lambda: [{**question, "actions": ["approve", "reject"]}])
    shown = r'; shown: {"amount": "\*20\*"}; reject at 2030-01-02T00:00:00+00:00'
    assert any(line.endswith(f"one of: approve, reject){shown}") for line in markdown(record).splitlines())
    record.log.keep_answer(question, action="edit", by="eve", note="as agreed", value=[7])
    said = (
        f"- **sign**: edit, by eve at 2030-01-01T00:00:00+00:00: as agreed (Sign?{shown}; instead: \\[7\\])"
    )
    assert said in markdown(record).splitlines()


def test_large_evidence_of_a_decision_is_named_by_its_size(record: TaskRecord) -> None:
    asked = {"step": "sign", "kind": "approve", "ask": "Sign?", "since": "s", "show": "x" * 3000}
    for _ in range(MAX_DECISIONS + 5):
        record.log.keep_answer(asked, action="approve", by="eve", note="")
    assert len(record.log.decisions) == MAX_DECISIONS
    assert record.log.decisions[0]["show"].startswith("3002 bytes: too large")
