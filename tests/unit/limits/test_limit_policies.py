"""What follows a limit, by place; and what of budgets goes on into a continued run."""

from __future__ import annotations

from counterstep import Budget
from counterstep.saga.limits.limit_policies import LimitPolicies
from counterstep.saga.limits.spending import Spending
from counterstep.saga.limits.usage import Usage


def test_the_nearest_word_counts() -> None:
    policies = LimitPolicies()
    assert policies.at("a") is None
    assert (policies.waits_for_limit("a"), policies.waits_for_breaker("a")) == (False, True)
    policies.say("", "wait")
    policies.say("a", "fail")
    policies.say("a/b", "finish")
    policies.say("c", None)
    assert [policies.at(path) for path in ("a", "a[2]/model.1", "a/b/x", "ab", "c")] == [
        "fail",
        "fail",
        "finish",
        "wait",
        "wait",
    ]
    assert (policies.waits_for_limit("c"), policies.waits_for_breaker("c")) == (True, True)
    assert not policies.waits_for_breaker("a/model.1")


def test_who_has_another_rung_waits_for_no_breaker() -> None:
    policies = LimitPolicies()
    policies.expect_rung("a[1]", comes=True)
    assert not policies.waits_for_breaker("a[1]/model.1")
    assert policies.waits_for_breaker("a[10]/model.1")
    policies.expect_rung("a[1]", comes=False)
    assert policies.waits_for_breaker("a[1]/model.1")


def test_a_person_raises_the_budget_that_has_refused_and_no_other() -> None:
    spending = Spending(Budget(model_calls=2))
    spending.open("step a", "a", "step 'a'", Budget(model_calls=1))
    spending.add(Usage(model_calls=1), "a/model.1")
    refusal = spending.refusal("a/model.2", Usage(model_calls=1))
    assert refusal == "step 'a': the budget of 1 model call is used up"
    spending.raise_budget("a/model.2", refusal, Budget(model_calls=5))
    assert (spending.budget, spending.raised) == (Budget(model_calls=2), None)
    assert spending.left("a") == Budget(model_calls=1), "the task's own"
    spending.add(Usage(model_calls=1), "a/model.2")
    refusal = spending.refusal("a/model.3", Usage(model_calls=1))
    assert refusal == "the budget of 2 model calls is used up"
    spending.raise_budget("a/model.3", refusal, None)
    assert spending.budget == Budget(model_calls=4)


def test_a_raised_budget_and_what_parts_have_spent_go_on() -> None:
    spending = Spending(Budget(model_calls=2))
    spending.open("step a", "a", "step 'a'", Budget(tokens=100))
    spending.add(Usage(model_calls=1, input_tokens=60), "a/model.1")
    spending.raise_budget("a", "the budget", Budget(model_calls=3))
    spending.raise_budget("a", "step 'a': the budget", Budget(tokens=50))
    assert spending.budget == Budget(model_calls=5)
    carried = {name: account.carried() for name, account in spending.accounts.items()}
    later = Spending(Budget())
    later.restore(spending.usage, carried, spending.raised)
    later.budget = later.raised or Budget()
    later.open("step a", "a", "step 'a'", Budget(tokens=100))
    assert later.left("a") == Budget(model_calls=4, tokens=90)
    later.raise_budget("b", "the budget", None)
    assert later.left("a") == Budget(model_calls=9, tokens=90)
