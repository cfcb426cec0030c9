"""Budgets and what has been spent."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from counterstep import Budget
from counterstep.saga.limits.usage import CallUsage, Usage


def used(calls: int = 0, tokens: int = 0, usd: float = 0.0) -> Usage:
    return Usage(model_calls=calls, input_tokens=tokens, usd=usd)


def call(model: str, calls: int, sent: int, said: int, usd: float | None) -> Usage:
    return CallUsage(model_calls=calls, input_tokens=sent, output_tokens=said, usd=usd).of_model(model)


def asked(tokens: int = 0, usd: float = 0.0) -> Usage:
    return Usage(model_calls=1, input_tokens=tokens, usd=usd)


TOOL = Usage(tool_calls=1)
HANDOFF = Usage(handoffs=1)


def test_without_limits_nothing_binds() -> None:
    assert Budget().refusal(used(10**9, 10**12, 1e9), asked(10**9, 1e9)) is None


@pytest.mark.parametrize(
    ("budget", "spent", "wanted", "reason"),
    [
        (Budget(model_calls=3), used(calls=2), asked(), None),
        (Budget(model_calls=3), used(calls=3), asked(), "of 3 model calls is used up"),
        (Budget(model_calls=0), used(), asked(), "of 0 model calls is used up"),
        (Budget(model_calls=0), used(), TOOL, None),
        (Budget(tokens=100), used(tokens=99), asked(), None),
        (Budget(tokens=100), used(tokens=90), asked(10), None),
        (
            Budget(tokens=100),
            used(tokens=90),
            asked(11),
            "of 100 tokens has 10 left, and the next call may need 11",
        ),
        (Budget(tokens=100), used(tokens=100), asked(), "of 100 tokens is used up (100 spent)"),
        (Budget(tokens=100), used(tokens=170), asked(), "of 100 tokens is used up (170 spent)"),
        (Budget(tokens=100), used(tokens=170), TOOL, None),
        (Budget(usd=1.5), used(usd=1.4999), asked(), None),
        (Budget(usd=0.3), used(usd=0.1 + 0.1), asked(usd=0.1), None),
        (
            Budget(usd=1.5),
            used(usd=1.25),
            asked(usd=0.5),
            "of $1.5 has $0.2500 left, and the next call may cost $0.5000",
        ),
        (Budget(usd=1.5), used(usd=1.6), asked(), "of $1.5 is used up ($1.6000 spent)"),
        (Budget(usd=0), used(), asked(), "of $0 is used up ($0.0000 spent)"),
        (Budget(tool_calls=2), Usage(tool_calls=1), TOOL, None),
        (Budget(tool_calls=2), Usage(tool_calls=2), TOOL, "of 2 tool calls is used up"),
        (Budget(tool_calls=2), Usage(tool_calls=2), asked(), None),
        (Budget(handoffs=1), Usage(handoffs=1), HANDOFF, "of 1 handoff is used up"),
        (
            Budget(model_calls=9, tokens=1, usd=9),
            used(1, 5, 1),
            asked(),
            "of 1 token is used up (5 spent)",
        ),
    ],
)
def test_the_next_call_is_judged(budget: Budget, spent: Usage, wanted: Usage, reason: str | None) -> None:
    assert budget.refusal(spent, wanted) == reason


@pytest.mark.parametrize("wrong", [{"usd": -1}, {"usd": math.nan}, {"usd": math.inf}, {"tokens": -1}])
def test_a_budget_is_a_sane_number(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Budget.model_validate(wrong)
    with pytest.raises(ValidationError):
        Budget.model_validate({"model_calls": 1, "token": 5})


def test_costs_add_up() -> None:
    usage = Usage()
    usage = usage.joined(call("a", 1, 10, 5, 0.25))
    usage = usage.joined(call("b", 2, 1, 1, 0.5))
    assert usage.report() == {
        "model_calls": 3,
        "input_tokens": 11,
        "output_tokens": 6,
        "tokens": 17,
        "usd": 0.75,
        "unpriced_calls": 0,
        "unpriced_models": [],
        "tool_calls": 0,
        "handoffs": 0,
    }


def test_a_model_without_a_price_is_named_and_never_free_in_silence() -> None:
    usage = Usage().joined(call("b", 1, 1, 1, None))
    usage = usage.joined(call("b", 2, 1, 1, None))
    usage = usage.joined(call("a", 1, 1, 1, 0.5))
    assert (usage.model_calls, usage.usd, usage.unpriced_calls, usage.unpriced_models) == (4, 0.5, 3, ("b",))


def test_a_price_of_zero_is_a_price() -> None:
    assert Usage().joined(call("a", 1, 1, 1, 0.0)).unpriced_calls == 0


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 10**6), st.none() | st.floats(0, 10)), max_size=20)
)
def test_nothing_that_was_spent_is_lost(costs: list[tuple[int, int, float | None]]) -> None:
    usage = Usage()
    for calls, tokens, usd in costs:
        usage = usage.joined(call("m", calls, tokens, 1, usd))
    assert usage.model_calls == sum(calls for calls, _, _ in costs)
    assert usage.tokens == sum(tokens + 1 for _, tokens, _ in costs)
    assert usage.usd == pytest.approx(sum(usd or 0 for _, _, usd in costs))
    assert usage.unpriced_calls == sum(calls for calls, _, usd in costs if usd is None)
