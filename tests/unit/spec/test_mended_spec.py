"""A misspelt key hides no other fault of its task, and makes up none."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep import SpecError
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.tests.support.bundles.shop import shop

CATALOG = Registry([shop], ["openai/default"]).catalog
GOOD = {"id": "a", "tool": "shop.reserve_stock", "input": {"sku": "x", "quantity": 1}}


def paths(*steps: dict[str, Any], **more: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_spec({"name": "x", "steps": list(steps), **more}, CATALOG)
    return [fault.path for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        # read as what is meant, and told where it stands
        ({"id": "a", "tol": "shop.reserve", "input": {}}, ["steps[0].tol"]),
        ({**GOOD, "input": None, "inptu": {"skuu": 1}}, ["steps[0].inptu"]),
        (
            {"id": "a", "tool": "shop.reserve_stock", "inptu": {"sku": "x", "quantity": 1, "of": 1}},
            ["steps[0].inptu", "steps[0].inptu.of"],
        ),
        (
            {
                **GOOD,
                "tool": "shop.reserve_stok",
                "retyr": {"attempts": 2},
                "when": "task.x > steps.z.output",
            },
            ["steps[0].retyr", "steps[0].when", "steps[0].tool"],
        ),
        # left out, with all that may follow from it
        (
            {"id": "a", "tool": "shop.reserve_stock", "arguments_by_name": {"sku": "x"}},
            ["steps[0].arguments_by_name"],
        ),
        (
            {**GOOD, "compensate": "shop.nothing", "every_one_of": "task.lines", "when": "item > 1"},
            ["steps[0].every_one_of", "steps[0].compensate"],
        ),
        (
            {**GOOD, "timeout": "soon", "validate": [{"check": "shop.nothing"}]},
            ["steps[0].timeout", "steps[0].validate[0].check"],
        ),
        ({**GOOD, "validate": [{"chekc": "shop.within_stok"}]}, ["steps[0].validate[0].chekc"]),
        ({**GOOD, "agent": "shop.buyer", "when": "steps.z.output"}, ["steps[0]", "steps[0].when"]),
    ],
)
def test_names_beside_a_misspelt_key(step: dict[str, Any], expected: list[str]) -> None:
    assert paths(step)[: len(expected)] == expected
    assert len(paths(step)) == len(expected)


def test_other_steps_and_the_output_are_checked_too() -> None:
    steps = (
        {"id": "a", "calls": "shop.reserve_stock"},
        {"id": "b", "tool": "shop.reserve_stok"},
        {**GOOD, "id": "c", "input": {"sku": "${{ steps.a.output[0].id }}", "quantity": 1}},
    )
    output = "${{ steps.d.output }} ${{ steps.a.output.anything }}"
    assert paths(*steps, output=output) == ["steps[0].calls", "steps[1].tool", "output"]


def test_without_a_catalog_names_are_not_looked_up() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec({"name": "x", "steps": [{**GOOD, "tool": "no.such", "tmeout": "1s"}]})
    assert [fault.path for fault in caught.value.faults] == ["steps[0].tmeout"]
