"""What reads a step that may be skipped, and does not ask first, is a warning."""

from __future__ import annotations

import pytest

from counterstep.bundle.spec_file import parse_spec
from counterstep.bundle.yaml_document import read_document
from counterstep.saga.spec.skippable import warnings_of


def warned(steps: str, output: str = "done") -> list[str]:
    document = read_document(f"name: x\noutput: {output}\nsteps:\n{steps}", "spec.yaml")
    return [fault.path for fault in warnings_of(parse_spec(document))]


WHEN = "  - {id: a, tool: b.c, when: task.more}\n"
SKIP = "  - {id: a, tool: b.c, on_failure: skip}\n"
REJECT = "  - {id: a, tool: b.c, on_reject: {retry_from: a, then: skip}}\n"
ITEMS = "  - {id: a, tool: b.c, for_each: task.list, when: item > 1}\n"
WHOLE = "  - {id: a, tool: b.c, for_each: task.list, when: task.more}\n"


@pytest.mark.parametrize("step", [WHEN, SKIP, REJECT, WHOLE])
def test_an_output_that_does_not_ask(step: str) -> None:
    assert warned(step, '"${{ steps.a.output }}"') == ["output"]
    assert warned(step, '{of: ["got ${{ steps.a.output.id }}"]}') == ["output.of[0]"]
    assert warned(step, '"${{ steps.a.output.map(i, i.id) }}"') == ["output"]


@pytest.mark.parametrize("step", [WHEN, SKIP, REJECT, WHOLE, ITEMS])
@pytest.mark.parametrize(
    "output",
    [
        "done",
        '"${{ steps.a.state }}"',
        "\"${{ steps.a.state == 'completed' ? steps.a.output.id : '' }}\"",
        '"${{ has(steps.a.output.id) && steps.a.output.id > 1 }}"',
        '"${{ steps.a.output == null }}"',
    ],
)
def test_an_output_that_asks(step: str, output: str) -> None:
    assert warned(step, output) == []


def test_a_step_that_is_always_done_is_no_matter() -> None:
    assert warned("  - {id: a, tool: b.c, when: true}\n", '"${{ steps.a.output }}"') == []
    assert warned(ITEMS, '"${{ steps.a.output }}"') == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ('{id: z, tool: b.c, input: {x: "${{ steps.a.output.id }}"}}', ["steps[1].input.x"]),
        ('{id: z, tool: b.c, when: task.more, input: {x: "${{ steps.a.output.id }}"}}', []),
        ("{id: z, tool: b.c, when: \"steps.a.state == 'completed'\", for_each: steps.a.output}", []),
        (
            '{id: z, tool: b.c, when: task.other, input: {x: "${{ steps.a.output.id }}"}}',
            ["steps[1].input.x"],
        ),
        (
            "{id: g, group: {steps: [{id: z, tool: b.c, for_each: steps.a.output}]}}",
            ["steps[1].group.steps[0].for_each"],
        ),
        ("{id: g, when: task.more, group: {steps: [{id: z, tool: b.c, for_each: steps.a.output}]}}", []),
        ('{id: z, tool: b.c, on_failure: skip, input: {x: "${{ steps.a.output.id }}"}}', []),
    ],
)
def test_steps_that_read_it(more: str, expected: list[str]) -> None:
    assert warned(f"{WHEN}  - {more}\n") == expected
