"""Budgets and what has been spent."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from counterstep import Budget
from counterstep.saga.limits.usage import Usage


def used(calls: int = 0, tokens: int = 0, usd: float = 0.0) -> Usage:
    return Usage(model_calls=calls, input_tokens=tokens, usd=usd)


def test_without_limits_nothing_binds() -> None:
    assert Budget().exceeded_by(used(10**9, 10**12, 1e9)) is None


@pytest.mark.parametrize(
    ("budget", "usage", "under_way", "reason"),
    [
        (Budget(model_calls=3), used(calls=2), 0, None),
        (Budget(model_calls=3), used(calls=3), 0, "the budget of 3 model calls is used up"),
        (Budget(model_calls=3), used(calls=1), 2, "the budget of 3 model calls is used up"),
        (Budget(model_calls=0), used(), 0, "the budget of 0 model calls is used up"),
        (Budget(tokens=100), used(tokens=99), 5, None),
        (Budget(tokens=100), used(tokens=100), 0, "the budget of 100 tokens is used up (100 spent)"),
        (Budget(tokens=100), used(tokens=170), 0, "the budget of 100 tokens is used up (170 spent)"),
        (Budget(usd=1.5), used(usd=1.4999), 9, None),
        (Budget(usd=1.5), used(usd=1.6), 0, "the budget of $1.5 is used up ($1.6000 spent)"),
        (Budget(usd=0), used(), 0, "the budget of $0 is used up ($0.0000 spent)"),
        (
            Budget(model_calls=9, tokens=1, usd=9),
            used(1, 5, 1),
            0,
            "the budget of 1 tokens is used up (5 spent)",
        ),
    ],
)
def test_the_next_call_is_judged(budget: Budget, usage: Usage, under_way: int, reason: str | None) -> None:
    assert budget.exceeded_by(usage, under_way) == reason


@pytest.mark.parametrize("wrong", [{"usd": -1}, {"usd": math.nan}, {"usd": math.inf}, {"tokens": -1}])
def test_a_budget_is_a_sane_number(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Budget.model_validate(wrong)
    with pytest.raises(ValidationError):
        Budget.model_validate({"model_calls": 1, "token": 5})


def test_costs_add_up() -> None:
    usage = Usage()
    usage = usage.plus(model="a", calls=1, input_tokens=10, output_tokens=5, usd=0.25)
    usage = usage.plus(model="b", calls=2, input_tokens=1, output_tokens=1, usd=0.5)
    assert usage.report() == {
        "model_calls": 3,
        "input_tokens": 11,
        "output_tokens": 6,
        "tokens": 17,
        "usd": 0.75,
        "unpriced_calls": 0,
        "unpriced_models": [],
    }


def test_a_model_without_a_price_is_named_and_never_free_in_silence() -> None:
    usage = Usage().plus(model="b", calls=1, input_tokens=1, output_tokens=1, usd=None)
    usage = usage.plus(model="b", calls=2, input_tokens=1, output_tokens=1, usd=None)
    usage = usage.plus(model="a", calls=1, input_tokens=1, output_tokens=1, usd=0.5)
    assert (usage.model_calls, usage.usd, usage.unpriced_calls, usage.unpriced_models) == (4, 0.5, 3, ("b",))


def test_a_price_of_zero_is_a_price() -> None:
    assert Usage().plus(model="a", calls=1, input_tokens=1, output_tokens=1, usd=0.0).unpriced_calls == 0


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 10**6), st.none() | st.floats(0, 10)), max_size=20)
)
def test_nothing_that_was_spent_is_lost(costs: list[tuple[int, int, float | None]]) -> None:
    usage = Usage()
    for calls, tokens, usd in costs:
        usage = usage.plus(model="m", calls=calls, input_tokens=tokens, output_tokens=1, usd=usd)
    assert usage.model_calls == sum(calls for calls, _, _ in costs)
    assert usage.tokens == sum(tokens + 1 for _, tokens, _ in costs)
    assert usage.usd == pytest.approx(sum(usd or 0 for _, _, usd in costs))
    assert usage.unpriced_calls == sum(calls for calls, _, usd in costs if usd is None)
