"""The board as Markdown: what others have written cannot break it, or the task that shows it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from counterstep.saga.limits.budget import Budget
from counterstep.saga.record.board_markdown import MAX_LINES, markdown
from counterstep.saga.record.step_record import StepRecord
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
