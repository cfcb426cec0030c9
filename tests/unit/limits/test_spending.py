"""How a budget is shared among a task and its children."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from counterstep import Budget
from counterstep.saga.limits.purse import Allotment, Purse
from counterstep.saga.limits.spending import Spending
from counterstep.saga.limits.usage import CallUsage, Usage


def calls(count: int) -> Usage:
    return Usage(model_calls=count)


def test_each_gets_a_part_of_what_is_left() -> None:
    spending = Spending(Budget(model_calls=12, tokens=100, usd=2))
    assert spending.allot("a", Budget()) == Budget(model_calls=6, tokens=50, usd=1)
    assert spending.allot("b", Budget(model_calls=1)) == Budget(model_calls=1, tokens=17, usd=1 / 3)
    assert spending.left().model_calls == 5
    assert spending.own_refusal() is None


def test_a_limit_that_the_parent_does_not_have_is_not_handed_down() -> None:
    spending = Spending(Budget(model_calls=4))
    assert spending.allot("a", Budget(tokens=5)) == Budget(model_calls=2)


def test_what_is_left_comes_back_and_what_was_spent_does_not() -> None:
    spending = Spending(Budget(model_calls=10))
    spending.allot("a", Budget())
    spending.take_back("a", calls(5))
    assert spending.left().model_calls == 5
    assert spending.allot("a", Budget(), calls=4) == Budget(model_calls=9)
    assert spending.left().model_calls == 1
    assert spending.end_share("a") == Budget(model_calls=9)
    spending.add(calls(6))
    assert spending.left().model_calls == 4


def test_who_needs_more_than_its_part_at_once_gets_it_where_there_is_so_much() -> None:
    spending = Spending(Budget(model_calls=4))
    assert spending.allot("a", Budget(), calls=4) == Budget(model_calls=4)
    assert spending.allot("b", Budget(), calls=4) == Budget(model_calls=0)
    assert spending.refusal() == "the budget of 4 model calls is used up"


def test_a_purse_is_spent_by_all_sagas_of_a_workflow() -> None:
    purse = Purse(Allotment(most=Budget(model_calls=4), spent=calls(1)))
    one, two = Spending(Budget()), Spending(Budget(model_calls=9))
    one.spend_from(purse)
    two.spend_from(purse)
    one.reserve_call()
    two.allot("child", Budget())
    assert two.left() == Budget(model_calls=1)
    one.reserve_call()
    assert (one.own_refusal(), one.refusal()) == (None, "the budget of 4 model calls is used up")
    one.release_call()
    assert purse.give_back() == calls(3)
    assert purse.most == Budget(model_calls=3)
    assert two.refusal() == "the budget of 3 model calls is used up", "nothing begins while more is asked for"


@given(
    st.integers(0, 40),
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["start", "call", "ask", "end"])), max_size=60
    ),
)
def test_children_never_spend_more_in_sum(most: int, happens: list[tuple[str, str]]) -> None:
    parent = Spending(Budget(model_calls=most))
    children: dict[str, Spending] = {}
    for name, what in happens:
        if what == "start" and name not in children:
            children[name] = Spending(Budget())
            children[name].spend_from(Purse(Allotment(most=parent.allot(name, Budget(), calls=0))))
        child = children.get(name)
        if child is None or child.purse is None:
            continue
        if what == "call" and child.refusal() is None:
            child.add_call("m", CallUsage(model_calls=1, input_tokens=1, output_tokens=1, usd=None))
        if what == "ask":
            parent.take_back(name, child.purse.give_back())
            child.purse.most = parent.allot(name, Budget())
        if what == "end":
            parent.end_share(name)
            parent.add(children.pop(name).usage)
        assert parent.usage.model_calls + sum(c.usage.model_calls for c in children.values()) <= most
        assert parent.total().model_calls <= most
