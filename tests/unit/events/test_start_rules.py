"""How bundles declare which events start which tasks, and what is refused of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from counterstep import Agent, Bundle, DefinitionError
from counterstep.bundle.registry import Registry
from counterstep.saga.errors import ExpressionError, SpecError
from counterstep.saga.events.published_event import MAX_NAME, PublishedEvent, read_event
from counterstep.saga.events.start_rule import StartRule

NOTHING = {"name": "nothing", "steps": [{"id": "wait", "wait": {"time": "1s"}}]}


@pytest.fixture
def shop() -> Bundle:
    bundle = Bundle("shop")
    bundle.add_task(NOTHING)
    return bundle


def event(payload: Any, topic: str = "order.paid", key: str = "e1") -> PublishedEvent:
    return PublishedEvent(topic=topic, key=key, payload=payload)


# --- declared


def test_a_rule_without_a_function_has_the_name_of_its_task(shop: Bundle) -> None:
    shop.on("order.paid", key="event.order_id", task="nothing")
    rule = Registry([shop]).start_rules["shop.nothing"].rule
    keys = {"order.paid": "event.order_id"}
    assert rule == StartRule(name="shop.nothing", topics=("order.paid",), keys=keys, task="shop.nothing")


def test_a_rule_over_a_function_has_its_name_and_the_function_stays_one(shop: Bundle) -> None:
    @shop.on("order.paid", task="shop.nothing")
    def paid(event: dict[str, Any]) -> dict[str, Any]:
        return {"seen": event}

    assert paid({"a": 1}) == {"seen": {"a": 1}}
    found = Registry([shop]).start_rules
    assert list(found) == ["shop.paid"]
    assert found["shop.paid"].rule.maps


def test_an_agent_that_is_a_task_is_started_as_well(shop: Bundle) -> None:
    clerk = Agent(name="clerk", description="Works.", instructions="Work.", model="openai/x")
    shop.add_task(clerk)
    shop.on("order.paid", task=clerk)
    assert Registry([shop]).start_rules["shop.clerk"].rule.task == "shop.clerk"


def test_a_join_waits_for_several_topics_for_a_while(shop: Bundle) -> None:
    keys = {"order.paid": "event.order_id", "stock.arrived": "event.order"}
    shop.on(list(keys), key=keys, within="2d", task="nothing", name="ready")
    rule = Registry([shop]).start_rules["shop.ready"].rule
    assert (rule.is_join, rule.within) == (True, timedelta(days=2))
    assert rule.key_of(event({"order": 7}, "stock.arrived")) == "7"


@pytest.mark.parametrize(
    ("topics", "options", "reasons"),
    [
        ("", {}, ["a topic looks like order.paid"]),
        ([], {}, ["say a topic"]),
        (["a.b", "a b", "a.b"], {}, ["'a b'", "'a.b' is named twice", "how long it waits, e.g. within='2d'"]),
        ("a", {"within": "2d"}, ["within is for a join"]),
        (["a", "b"], {"within": "soon"}, ["a duration looks like"]),
        ("a", {"key": "event.", "task": "no task"}, ["does not parse", "task='no task' is not the name"]),
        ("a", {"key": "task.id"}, ["reads task; it can read event alone"]),
        ("a", {"key": "'x'"}, ["does not read event"]),
        ("a", {"key": "evnt.id"}, ["'evnt'"]),
        ("a", {"key": 7}, ["key is a CEL expression"]),
        ("a", {"key": {"b": "event.x"}}, ["'b' is not one of its topics", "the one of 'a' is missing"]),
        ("a", {"key": {"a": 1}}, ["key of a: 1 is not a CEL expression"]),
        ("a", {"name": "no name"}, ["name='no name'"]),
        ([str(number) for number in range(21)], {"within": "1d"}, ["21 topics are more than 20"]),
    ],
)
def test_all_faults_of_a_declaration_are_named_at_once(
    shop: Bundle, topics: Any, options: dict[str, Any], reasons: list[str]
) -> None:
    with pytest.raises(DefinitionError) as refused:
        shop.on(topics, **{"task": "nothing", **options})
    assert [reason for reason in reasons if reason not in str(refused.value)] == []
    assert len(str(refused.value).splitlines()) == len(reasons)
    assert shop.start_rules == []


def test_a_function_takes_the_payload_and_nothing_else(shop: Bundle) -> None:
    with pytest.raises(DefinitionError, match=r"start rule shop\.paid: it must take exactly one parameter"):

        @shop.on("order.paid", task="nothing")
        def paid(event: dict[str, Any], more: int) -> None: ...


def test_rules_of_one_name_and_unknown_tasks_are_named_when_a_worker_starts(shop: Bundle) -> None:
    shop.on("a", task="nothing")
    shop.on("b", task="nothing")
    shop.on("c", task="nothin")
    with pytest.raises(DefinitionError) as refused:
        Registry([shop])
    assert "two start rules are named 'shop.nothing'; say name= in one of them" in str(refused.value)
    assert "start rule shop.nothin: there is no task 'shop.nothin'" in str(refused.value)
    assert "did you mean 'shop.nothing'?" in str(refused.value)


# --- keys


@pytest.mark.parametrize(
    ("value", "key"), [(17, "17"), (17.0, "17"), ("17", "17"), ("a/b", "a/b"), (10**15, str(10**15))]
)
def test_a_key_is_the_same_however_its_number_is_written(value: Any, key: str) -> None:
    rule = StartRule(name="shop.r", topics=("order.paid",), keys={"order.paid": "event.id"}, task="shop.t")
    assert rule.key_of(event({"id": value})) == key


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({}, "event.id is missing"),
        ({"id": None}, "event.id is null"),
        ({"id": ""}, "must be text or a whole number, and not empty"),
        ({"id": True}, "must be text or a whole number"),
        ({"id": 1.5}, "must be text or a whole number"),
        ({"id": {"a": 1}}, "must be text or a whole number"),
        ({"id": " 1"}, "must not have line breaks, or spaces around it"),
        ({"id": "1\n2"}, "must not have line breaks"),
        ({"id": "x" * (MAX_NAME + 1)}, "has 201 characters; the most is 200"),
        ({"id": "🚚" * 101}, "has 404 bytes; the most is 400"),
        ("text", "has no 'id'"),
    ],
)
def test_an_event_that_lacks_what_the_key_reads_is_refused(payload: Any, reason: str) -> None:
    rule = StartRule(name="shop.r", topics=("order.paid",), keys={"order.paid": "event.id"}, task="shop.t")
    with pytest.raises(ExpressionError) as refused:
        rule.key_of(event(payload))
    assert reason in str(refused.value)


# --- events


def test_an_event_is_read_from_plain_json() -> None:
    assert read_event({"topic": "order.paid", "key": 17}) == event({}, key="17")


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        (7, ["an event is an object"]),
        ({}, ["topic: is missing", "key: is missing; say which one it is"]),
        ({"topic": "a/b", "key": ""}, ["topic: a topic looks like", "key: must be text or a whole number"]),
        (
            {"topic": 7, "key": None, "paylod": 1},
            ["did you mean 'payload'?", "topic: must be", "key: is mis"],
        ),
        ({"topic": "a" * 201, "key": "k"}, ["topic: has 201 characters"]),
        ({"topic": "漢" * 134, "key": "🚚" * 101}, ["topic: has 402 bytes", "key: has 404 bytes"]),
    ],
)
def test_all_faults_of_an_event_are_named_at_once(value: Any, faults: list[str]) -> None:
    with pytest.raises(SpecError) as refused:
        read_event(value)
    assert len(refused.value.faults) == len(faults)
    assert [fault for fault in faults if fault not in str(refused.value)] == []
