"""What a plan of a saga may be read from, and what is said of anything else."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep.saga.errors import DefinitionError
from counterstep.saga.own_workflows.saga_plan import operations_in


def test_a_plan_is_a_list_or_has_one() -> None:
    plan = [{"id": "hotel", "tool": "trip.book_hotel"}]
    assert operations_in(plan) == operations_in({"operations": plan})


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ([3], "operations[0]: must be a mapping, not a number"),
        ([{"id": "a"}], "operations[0].tool: 'tool' is missing"),
        ([{"id": "a", "tool": "x", "after": "b"}], "operations[0].after: must be a list, not text"),
    ],
)
def test_all_that_is_no_operation_is_told_in_words(made: Any, told: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        operations_in(made)
    assert str(caught.value) == told
