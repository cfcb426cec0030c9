"""What an evaluation takes, estimated from its values."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep.saga.errors import ExpressionError
from counterstep.saga.expressions.effort import Effort, burden
from counterstep.saga.expressions.expression import compile_expression
from counterstep.saga.expressions.template import render, render_in_turns

ROWS = [{"id": i, "text": "x" * 1500} for i in range(400)]


def effort_of(source: str, rows: list[Any]) -> int:
    effort = Effort()
    compile_expression(source).evaluate({"task": {"rows": rows}}, effort)
    return effort.spent


def test_what_reads_more_takes_longer() -> None:
    assert burden(ROWS) > 3 * burden(ROWS[:100])
    assert effort_of("size(task.rows)", ROWS) > 3 * effort_of("size(task.rows)", ROWS[:100])


def test_a_loop_that_makes_a_list_takes_more_than_one_that_only_looks() -> None:
    looking = effort_of("task.rows.exists(row, row.id == 399)", ROWS)
    assert effort_of("task.rows.filter(row, row.id < 399)", ROWS) > 2 * looking > 2_000


def test_a_plain_path_costs_nothing() -> None:
    assert effort_of("task.rows", ROWS) == 0


def test_what_would_take_too_long_is_refused_only_where_somebody_counts() -> None:
    rows = [{"a": i, "b": {"c": i}} for i in range(3000)]
    source = "size(task.rows.map(x, x).map(x, x).map(x, x))"
    with pytest.raises(ExpressionError, match="it would take more than a second"):
        effort_of(source, rows * 2)
    assert compile_expression("size(task.rows.map(x, x))").evaluate({"task": {"rows": rows}}) == 3000


def test_a_template_is_filled_hole_by_hole() -> None:
    template = {"a": "${{ task.x }}", "b": ["${{ task.x + 1 }} and ${{ task.x + 2 }}", 7, {"c": "none"}]}
    turns: list[None] = []
    filling = render_in_turns(template, {"task": {"x": 1}}, "input", Effort())
    while True:
        try:
            turns.append(next(filling))
        except StopIteration as end:
            filled = end.value
            break
    assert len(turns) == 3
    assert filled == render(template, {"task": {"x": 1}}) == {"a": 1, "b": ["2 and 3", 7, {"c": "none"}]}
