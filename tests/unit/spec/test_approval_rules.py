"""Approvals are checked before anything runs: all faults at once, each with its path."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from counterstep import Approval, Bundle, DefinitionError, Effect, SpecError
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.saga.agents.earlier_calls import EarlierCalls
from counterstep.saga.agents.model_protocol import ChatMessage
from counterstep.saga.people.approval_terms import ApprovalTerms
from counterstep.saga.record.consent import Consent, shown_hash
from counterstep.saga.spec.arguments import canonical, completed, exact_faults, is_same, within
from counterstep.saga.spec.checker import check_spec
from counterstep.tests.support.bundles.desk import desk
from counterstep.tests.support.bundles.till import till

CATALOG = Registry([desk, till]).catalog


def faults_of(approvals: list[dict[str, Any]], **keys: Any) -> list[str]:
    step = {"id": "p", "tool": "till.pay", "input": {"what": "tea"}, "approvals": approvals}
    spec = parse_spec({"name": "t", "steps": [step], **keys})
    return [str(fault) for fault in check_spec(spec, CATALOG)]


def test_all_faults_of_approvals_are_told_with_their_paths() -> None:
    assert faults_of(
        [
            {"tool": "till.pay", "when": "arguments.cent > 1", "ask": "${{ argument.cents }}?"},
            {"tool": "till.pya"},
            {"tool": "till.charge", "when": "before > 1"},
            {"tool": "till.pay", "when": "shown.cents > steps.p.output", "always": "arguments.cents <"},
            {"tool": "till.pay_back"},
        ]
    ) == [
        "steps[0].approvals[0].when: arguments.cent: till.pay has no 'cent'; did you mean 'cents'?",
        "steps[0].approvals[0].ask: 'argument.cents': there is no 'argument' to read; "
        "did you mean 'arguments'?",
        "steps[0].approvals[1].tool: there is no tool 'till.pya'; did you mean 'till.pay'?",
        "steps[0].approvals[2].tool: this step does not call till.charge; did you mean 'till.pay'?",
        "steps[0].approvals[2].when: till.charge reads nothing before it is called; give it before=",
        "steps[0].approvals[3].when: shown.cents cannot be read here; "
        "there are arguments, before, agent, task",
        "steps[0].approvals[3].when: steps.p.output cannot be read here; "
        "there are arguments, before, agent, task",
        "steps[0].approvals[3].always: 'arguments.cents <' does not parse: line 1, column 18: "
        "it ends too early",
        "steps[0].approvals[4].tool: 'till.pay_back' is a compensation of the bundle; it runs by itself "
        "when a call is undone",
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"default": "approve"}, "default: 'approve' is not one of 'reject' or 'fail'"),
        ({"default": "fail"}, "default is what counts after the deadline; say a deadline"),
        (
            {"always": True, "people": 2},
            "always is one person's word; it does not go together with people above 1",
        ),
        ({"people": 0}, "people: must be greater than or equal to 1, not 0"),
        ({"escalate": {"after": "1h", "roles": ["boss"]}}, "escalate adds others to those who may answer"),
        ({"whenn": "true"}, "there is no key 'whenn' here; did you mean 'when'?"),
    ],
)
def test_keys_that_make_no_sense_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        faults_of([{"tool": "till.pay", **keys}])
    assert message in str(caught.value)


def test_the_approval_of_a_tool_is_checked_with_its_bundle() -> None:
    bundle = Bundle("b")

    @bundle.tool(effect=Effect.PIVOT, approval=Approval(when="arguments.sum > 1", always=True))
    def wire(cents: int) -> None:
        """Pays."""

    def other(cents: int) -> None:
        """Pays too."""

    with pytest.raises(DefinitionError) as caught:
        Registry([bundle])
    assert str(caught.value).splitlines() == [
        "tool b.wire: approval.when: arguments.sum: b.wire has no 'sum'; there is only cents",
        "tool b.wire: approval.always: b.wire is a pivot, which a task calls once; leave always out",
    ]
    with pytest.raises(DefinitionError, match="approval: people: "):
        bundle.tool(effect=Effect.RETRIABLE, approval={"people": "many"})(other)
    with pytest.raises(DefinitionError, match="repeats is return, refuse or allow, not 'sometimes'"):
        bundle.tool(effect=Effect.RETRIABLE, repeats="sometimes")(other)  # type: ignore[arg-type]


def test_what_is_called_is_written_in_one_way_only() -> None:
    assert (
        canonical({"b": 1.0, "a": [2.5, "ä"]})
        == canonical({"a": [2.5, "ä"], "b": 1})
        == '{"a":[2.5,"ä"],"b":1}'
    )
    assert canonical(2**60) == str(2**60)
    assert shown_hash("t", {"a": 1}, None) != shown_hash("t", {"a": 1}, 0)
    schema = CATALOG.tools["till.pay"].input_schema
    assert completed(schema, {"what": "x"}) == {"what": "x", "cents": 6000, "fail": "", "late": 0}
    assert exact_faults(schema, {"what": "x", "cents": 1}) == []
    assert [str(f) for f in exact_faults(schema, {"what": "x", "Cents": 1})] == [
        "arguments: there is no 'Cents' here; did you mean 'cents'?"
    ]


class Price(BaseModel):
    cents: int = 9999


class Order(BaseModel):
    price: Price | None = None
    by_name: dict[str, Price] = {}
    pair: tuple[Price, int] | None = None
    default: Price = Price()
    weight: float = 0


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ({"price": {}}, {"price": {"cents": 9999}}),
        ({"price": None}, {"price": None}),
        ({"by_name": {"a": {}, "b": {"cents": 1}}}, {"by_name": {"a": {"cents": 9999}, "b": {"cents": 1}}}),
        ({"pair": [{}, 3]}, {"pair": [{"cents": 9999}, 3]}),
    ],
)
def test_defaults_are_shown_however_deep_they_are(given: dict[str, Any], whole: dict[str, Any]) -> None:
    rest = {"price": None, "by_name": {}, "pair": None, "default": {"cents": 9999}, "weight": 0}
    assert completed(Order.model_json_schema(), given) == {**rest, **whole}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"weight": float("nan")}, "arguments.weight: is not a finite number"),
        ({"by_name": {"a": {"cents": float("-inf")}}}, "arguments.by_name.a.cents: is not a finite number"),
        ({"default": {"Cents": 1}}, "arguments.default: there is no 'Cents' here; did you mean 'cents'?"),
    ],
)
def test_what_no_bound_would_stop_is_refused(given: dict[str, Any], fault: str) -> None:
    assert [str(one) for one in exact_faults(Order.model_json_schema(), given)] == [fault]


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"a": 5, "b": "x"}, True),
        ({"a": 3, "b": "x"}, True),
        ({"a": 6, "b": "x"}, False),
        ({"a": -5, "b": "x"}, False),
        ({"a": 5, "b": "y"}, False),
        ({"a": 5}, False),
        ({"a": True, "b": "x"}, False),
        ({"a": 5, "b": "x", "c": 1}, False),
    ],
)
def test_what_stays_within_what_was_shown(value: dict[str, Any], fits: bool) -> None:
    assert within({"a": 5, "b": "x"}, value) is fits


def test_several_approvals_add_up() -> None:
    one = Approval(people=2, deadline="2h", roles=("a",), always=False)
    other = Approval(deadline="1h", default="fail", always=True)
    terms = ApprovalTerms.of([one, other])
    assert (terms.people, terms.roles, terms.default, terms.always) == (2, (frozenset({"a"}),), "fail", ())
    assert terms.deadline is not None and terms.deadline.total_seconds() == 3600


def test_a_yes_is_used_up() -> None:
    consent = Consent().grant("p", "h").grant("p", "i")
    assert consent.has("p", "h") and not consent.has("q", "h")
    assert consent.use("p", "h") == Consent().grant("p", "i")
    assert consent.use("p", "h").use("p", "i") == Consent()
    always = Consent().grant_always("t", {"a": 1})
    assert always.with_always({"t": ({"a": 1}, {"a": 2})}).always == {"t": ({"a": 1}, {"a": 2})}


def test_calls_with_the_same_id_do_not_get_each_others_results() -> None:
    said = [
        ChatMessage(role="tool", tool_call_id=id_, content=content)
        for id_, content in (("call_1", '"a"'), ("call_1", '"b"'), ("call_2", '"c"'))
    ]
    earlier = EarlierCalls({"a": "call_1", "b": "call_1", "c": "call_2"}, {}, said)
    further_up = '"it is further up in this conversation"'
    assert [earlier.result(key) for key in "abc"] == [further_up, further_up, '"c"']


def test_true_is_not_1_but_for_tasks_of_an_earlier_engine() -> None:
    assert [is_same([1], [other]) for other in (1.0, True, "1", None)] == [True, False, False, False]
    assert [is_same([1], [other], 5) for other in (1.0, True, "1", None)] == [True, True, False, False]
