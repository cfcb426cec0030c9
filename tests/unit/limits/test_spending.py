"""How a budget is shared among calls, steps, agents and children."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from counterstep import Budget
from counterstep.saga.limits.account import Account
from counterstep.saga.limits.purse import Allotment, Purse
from counterstep.saga.limits.spending import Reservation, Spending
from counterstep.saga.limits.usage import Usage

NOTHING = Usage()
ONE = Usage(model_calls=1)


def calls(count: int) -> Usage:
    return Usage(model_calls=count)


def test_each_gets_a_part_of_what_is_left() -> None:
    spending = Spending(Budget(model_calls=12, tokens=100, usd=2, tool_calls=5))
    assert spending.allot("a", Budget(), NOTHING) == Budget(model_calls=6, tokens=50, usd=1, tool_calls=3)
    assert spending.allot("b", Budget(model_calls=1), NOTHING) == Budget(
        model_calls=1, tokens=17, usd=1 / 3, tool_calls=1
    )
    assert spending.left().model_calls == 5
    assert spending.own_refusal("", ONE) is None


def test_a_limit_that_the_parent_does_not_have_is_not_handed_down() -> None:
    spending = Spending(Budget(model_calls=4))
    assert spending.allot("a", Budget(tokens=5), NOTHING) == Budget(model_calls=2)


def test_what_is_left_comes_back_and_what_was_spent_does_not() -> None:
    spending = Spending(Budget(model_calls=10))
    spending.allot("a", Budget(), NOTHING)
    spending.take_back("a", calls(5))
    assert spending.left().model_calls == 5
    assert spending.allot("a", Budget(), calls(4)) == Budget(model_calls=9)
    assert spending.left().model_calls == 1
    assert spending.end_share("a") == Budget(model_calls=9)
    spending.add(calls(6))
    assert spending.left().model_calls == 4


def test_who_needs_more_than_its_part_at_once_gets_it_where_there_is_so_much() -> None:
    spending = Spending(Budget(model_calls=4, tokens=100))
    needs = Usage(model_calls=4, input_tokens=80)
    assert spending.allot("a", Budget(), needs) == Budget(model_calls=4, tokens=80)
    assert spending.allot("b", Budget(), needs) == Budget(model_calls=0, tokens=20)
    assert spending.refusal("", ONE) == "the budget of 4 model calls is used up"


def test_a_purse_is_spent_by_all_sagas_of_a_workflow() -> None:
    purse = Purse(Allotment(most=Budget(model_calls=4), spent=calls(1)))
    one, two = Spending(Budget()), Spending(Budget(model_calls=9))
    one.spend_from(purse)
    two.spend_from(purse)
    one.reserve("", ONE)
    two.allot("child", Budget(), NOTHING)
    assert two.left() == Budget(model_calls=1)
    last = one.reserve("", ONE)
    assert (one.own_refusal("", ONE), one.refusal("", ONE)) == (
        None,
        "the budget of 4 model calls is used up",
    )
    one.release(last)
    assert one.refusal("", ONE) is None


def test_a_call_spends_from_each_budget_on_the_way_to_it() -> None:
    spending = Spending(Budget(model_calls=9))
    spending.accounts = {
        "settle": Account("settle", "step 'settle'", Budget(model_calls=2)),
        "agent": Account("settle[1]", "agent 'shop.buyer'", Budget(model_calls=1)),
    }
    spending.reserve("settle[1]/model.1", ONE)
    assert spending.refusal("settle[1]/tool.2/model.1", ONE) == (
        "agent 'shop.buyer': the budget of 1 model call is used up"
    )
    assert spending.refusal("settle[10]/model.1", ONE) is None
    spending.add(ONE, "settle[2]/model.1")
    assert spending.refusal("settle/model.1", ONE) == (
        "step 'settle': the budget of 2 model calls is used up"
    )
    assert spending.refusal("settled/model.1", ONE) is None
    assert spending.left("settle").model_calls == 0
    assert spending.left("other").model_calls == 7


def test_what_a_child_is_promised_counts_where_it_was_started() -> None:
    spending = Spending(Budget(tool_calls=9))
    spending.accounts = {"a": Account("a", "step 'a'", Budget(tool_calls=4))}
    assert spending.allot("child", Budget(), NOTHING, "a/sub") == Budget(tool_calls=2)
    assert spending.left("a") == Budget(tool_calls=2)
    assert spending.left("b") == Budget(tool_calls=7)
    spending.end_share("child")
    spending.add(Usage(tool_calls=1), "a/sub")
    assert spending.left("a") == Budget(tool_calls=3)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "model_calls": st.integers(0, 8),
            "tokens": st.integers(0, 5000),
            "usd": st.floats(0, 3),
            "tool_calls": st.integers(0, 4),
        },
    ),
    st.lists(
        st.tuples(
            st.sampled_from(["a", "a/x", "b[0]", "b[1]/y"]),
            st.integers(0, 900),
            st.floats(0, 1),
            st.booleans(),
            st.integers(0, 3),
        ),
        max_size=40,
    ),
)
@example({"tokens": 500}, [("a", 400, 0.0, False, 0)] * 2)
@example({"usd": 1.0}, [("a", 0, 0.7, False, 0)] * 2)
@example({"tool_calls": 1}, [("a", 0, 0.0, True, 0)] * 2)
def test_calls_side_by_side_never_spend_more_than_any_budget(
    limits: dict[str, float], asked: list[tuple[str, int, float, bool, int]]
) -> None:
    """Each call takes what it may spend at most, and spends a part of it some time later."""
    budget = Budget.model_validate(limits)
    spending = Spending(Budget.model_validate({name: 2 * limit for name, limit in limits.items()}))
    accounts = [Account(path, path, budget) for path in ("a", "b")]
    spending.accounts = {account.path: account for account in accounts}
    under_way: list[tuple[str, Usage, Reservation]] = []
    for path, tokens, usd, is_tool, ends in asked:
        model = Usage(model_calls=1, input_tokens=tokens, usd=usd)
        most = Usage(tool_calls=1) if is_tool else model
        if spending.refusal(path, most) is None:
            under_way.append((path, most, spending.reserve(path, most)))
        for at, spent, reserved in under_way[:ends]:
            spending.release(reserved)
            part = {"input_tokens": spent.input_tokens // 2, "usd": spent.usd / 3}
            spending.add(spent.model_copy(update=part), at)
        del under_way[:ends]
        whole = Account("", "", spending.budget, spending.usage)
        for account in (whole, *accounts):
            at_worst = account.usage
            for at, may_spend, _ in under_way:
                at_worst = at_worst.joined(may_spend) if account.covers(at) else at_worst
            for name, most_of_it in account.budget.model_dump(exclude_none=True).items():
                assert getattr(at_worst, name) <= most_of_it + 1e-6
    for path, _, reserved in under_way:
        assert path
        spending.release(reserved)
    assert spending.total() == spending.usage
    assert not spending.has_calls_under_way


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
            children[name].spend_from(Purse(Allotment(most=parent.allot(name, Budget(), NOTHING))))
        child = children.get(name)
        if child is None or child.purse is None:
            continue
        if what == "call" and child.refusal("", ONE) is None:
            child.add(ONE)
        if what == "ask":
            parent.take_back(name, child.purse.give_back())
            child.purse.most = parent.allot(name, Budget(), NOTHING)
        if what == "end":
            parent.end_share(name)
            parent.add(children.pop(name).usage)
        assert parent.usage.model_calls + sum(c.usage.model_calls for c in children.values()) <= most
        assert parent.total().model_calls <= most
