"""What the expressions of a task miss in its input is told before anything runs, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep.bundle.spec_file import parse_spec
from counterstep.bundle.yaml_document import read_document
from counterstep.saga.spec.input_reads import check_task_input


def faults(document: str, value: Any) -> list[str]:
    spec = parse_spec({"name": "x"} | read_document(document, "spec.yaml"))
    return [str(fault) for fault in check_task_input(spec, value)]


def one_step(step: str, value: Any) -> list[str]:
    called = "" if step.startswith("approve") else "tool: b.c, "
    return faults(f"steps: [{{id: a, {called}{step}}}]", value)


def test_all_missing_inputs_are_told_at_once_without_a_schema() -> None:
    document = """
    steps:
      - id: a
        tool: b.c
        input: {sku: "${{ task.sku }}", of: "${{ steps.z.output }}: ${{ task.order.lines[1] }}"}
      - {id: z, tool: b.c, input: {sku: "${{ task.sku }}"}, validate: [{rule: "output.price <= task.limit"}]}
      - {id: w, wait: {event: "paid-${{ task.customer.id }}"}}
    output: {note: "${{ task.note }}"}
    validate: [{rule: "output.price < task.most"}]
    """
    assert faults(document, {"order": {"lines": [1]}, "customer": "x", "note": None}) == [
        "input: task.sku is missing, and steps[0].input.sku reads it",
        "input: task.order.lines[1] is missing, and steps[0].input.of reads it",
        "input: task.limit is missing, and steps[1].validate[0].rule reads it",
        "input: task.customer is text and has no 'id', and steps[2].wait.event reads it",
        "input: task.most is missing, and validate[0].rule reads it",
        "output.note: task.note is null",
    ]
    whole = {"order": {"lines": [1, 2]}, "customer": {"id": 1}, "note": "", "sku": "s", "limit": 1, "most": 2}
    assert faults(document, whole) == []


def test_a_schema_and_expressions_tell_each_name_once() -> None:
    document = """
    input: {type: object, required: [sku], properties: {sku: {type: string}, count: {type: integer}}}
    steps: [{id: a, tool: b.c, input: {sku: "${{ task.sku }}", count: "${{ task.count }}"}}]
    """
    assert faults(document, {}) == [
        "input: 'sku' is missing",
        "input: task.count is missing, and steps[0].input.count reads it",
    ]


@pytest.mark.parametrize(
    ("step", "value", "expected"),
    [
        ("when: task.vip", {}, ["input: task.vip is missing, and steps[0].when reads it"]),
        ('for_each: "task.lines"', {}, ["input: task.lines is missing, and steps[0].for_each reads it"]),
        (
            'for_each: "task.lines", input: {a: "${{ item.sku }}", b: "${{ task.b + 1 }}"}',
            {"lines": [{"skus": 1}]},
            [
                "input: item.sku is missing, and steps[0].input.a reads it",
                "input: task.b is missing, and steps[0].input.b reads it",
            ],
        ),
        (
            'when: task.vip, input: {a: "${{ task.a }}"}',
            {"vip": True},
            ["input: task.a is missing, and steps[0].input.a reads it"],
        ),
        (
            'input: {a: "${{ has(task.a) ? task.b : 0 }}"}',
            {"a": 1},
            ["steps[0].input.a: task.b is missing (in 'has(task.a) ? task.b : 0')"],
        ),
        (
            'input: {a: "${{ task.a + 1 }}"}',
            {"a": "x"},
            [
                "steps[0].input.a: 'task.a + 1': text + a number is not defined; "
                "string() makes text of a number"
            ],
        ),
    ],
)
def test_what_is_certain_to_fail(step: str, value: Any, expected: list[str]) -> None:
    assert one_step(step, value) == expected


@pytest.mark.parametrize(
    ("step", "value"),
    [
        ('input: {a: "${{ has(task.a) ? task.a : 0 }}"}', {}),
        ('validate: [{rule: "!has(task.limit) || output.price <= task.limit"}]', {}),
        ('validate: [{rule: "output.cheap || output.price <= task.limit"}]', {}),
        ('when: task.vip, input: {a: "${{ task.a }}"}', {"vip": False}),
        ("when: \"facts.x == 1\", input: {a: '${{ task.a }}'}", {}),
        ('for_each: "task.lines", input: {a: "${{ task.a }}"}', {"lines": []}),
        ('for_each: "facts.lines", input: {a: "${{ task.a }}"}', {}),
        ('on_failure: skip, input: {a: "${{ task.a }}"}', {}),
        ('on_failure: {fallback: b.d}, input: {a: "${{ task.a }}"}', {}),
        ('input: {a: "${{ facts.lines.map(i, i + task.a) }}"}', {}),
        ('input: {a: "${{ task.a == null }}"}', {"a": None}),
        ('input: {a: "${{ steps.a }}"}', {}),
        ('validate: [{rule: "output == 1", message: "not ${{ task.a }}"}]', {}),
        ('approve: {ask: ok, show: "facts.a"}', {}),
    ],
)
def test_what_may_never_be_read_is_no_fault(step: str, value: Any) -> None:
    assert one_step(step, value) == []


def test_groups_are_looked_into_where_they_are_certain_to_run() -> None:
    document = """
    steps:
      - id: g
        for_each: task.lines
        group:
          steps:
            - {id: a, tool: b.c, input: {of: "${{ item.sku }} ${{ task.a }}"}}
            - {id: b, when: "steps.a.output == 1", tool: b.c, input: {of: "${{ task.b }}"}}
          output: {a: "${{ task.c }}"}
    """
    assert faults(document, {"lines": []}) == []
    assert faults(document, {"lines": [{"sku": 1}]}) == [
        "input: task.c is missing, and steps[0].group.output.a reads it",
        "input: task.a is missing, and steps[0].group.steps[0].input.of reads it",
    ]
