"""Limits files: what they may say, and that all faults are told at once, with their places."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from counterstep.pool_limits.rules import Limit, PoolRules, shown
from counterstep.pool_limits.rules_file import parse_rules, read_rules, rules_schema
from counterstep.saga.errors import ExpressionError, SpecError

GOOD = """
limits:
  - {name: tenant_day, key: task.tenant, usd: 2.5, per: 1d}
  - {name: provider_minute, key: agent.provider, model_calls: 60, per: 1m}
  - {name: starts, tasks: 100, per: 1h}
breakers: {failures: 3, within: 1m, cool_down: 10s, tools: [shop.charge]}
"""
BAD = """
limits:
  - {name: day, key: task.tenant, usd: 5, per: 1d}
  - {name: day, key: task.tenant +, usd: 5, tokens: 4, per: 1x}
  - {nam: third, key: step.a, per: 10ms}
  - {name: fourth, key: agent.modle, model_calls: 1.5, per: 1m}
  - {name: fifth, key: agent.model, tasks: -1, per: 1m}
  - 5
  - {name: seventh, per: 1m, key: "has(task.a)", usd: true}
  - {name: eighth, per: 1m}
breakers: {failures: 0, tools: [shop.chrge], coold: 1s}
"""


def test_a_good_file(tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text(GOOD)
    rules = read_rules(tmp_path / "limits.yaml", ["shop.charge"])
    assert [(limit.unit, limit.cap) for limit in rules.limits] == [
        ("usd", 2_500_000_000),
        ("model_calls", 60),
        ("tasks", 100),
    ]
    assert rules.breakers.cool_down == timedelta(seconds=10)


def test_a_list_alone_is_the_limits() -> None:
    limit = {"name": "day", "usd": 1, "per": "1d"}
    assert parse_rules([limit]) == parse_rules({"limits": [limit]})
    assert parse_rules({}) == PoolRules()


def test_all_faults_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text(BAD)
    with pytest.raises(SpecError) as caught:
        read_rules(path, ["shop.charge"])
    told = {
        fault.path.removeprefix(f"{path}: "): (fault.line, fault.message) for fault in caught.value.faults
    }
    assert {place: line for place, (line, _) in told.items()} == {
        "limits[1]": 4,
        "limits[1].name": 4,
        "limits[1].key": 4,
        "limits[1].per": 4,
        "limits[2].nam": 5,
        "limits[2].name": 5,
        "limits[2].key": 5,
        "limits[2].per": 5,
        "limits[3].key": 6,
        "limits[3].model_calls": 6,
        "limits[4].key": 7,
        "limits[4].tasks": 7,
        "limits[5]": 8,
        "limits[6].usd": 9,
        "limits[7]": 10,
        "breakers.failures": 11,
        "breakers.tools[0]": 11,
        "breakers.coold": 11,
    }
    assert "has usd and tokens; a limit has exactly one" in told["limits[1]"][1]
    assert "did you mean 'model'?" in told["limits[3].key"][1]
    assert "its key reads task only" in told["limits[4].key"][1]
    assert "did you mean 'shop.charge'?" in told["breakers.tools[0]"][1]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "a limits file has the keys limits and breakers, or is a list of limits, not nothing"),
        ("text", "not text"),
        ({"limit": []}, "limit: there is no key 'limit' here; did you mean 'limits'?"),
        ({"limits": {}}, "limits: must be a list, not a mapping"),
        ([{"name": "a", "usd": 1, "per": "400d"}], "per: must be between 1s and 366d, not 400d"),
        ([{"name": "A b", "usd": 1, "per": "1d"}], "must be lower-case letters"),
        ([{"name": "a", "usd": float("inf"), "per": "1d"}], "inf is not a JSON number"),
    ],
)
def test_other_documents(document: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_rules(document)
    assert message in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.yaml: cannot be read: No such file"):
        read_rules(tmp_path / "none.yaml")


def test_a_key_names_a_bucket() -> None:
    scope = {"task": {"tenant": "acme", "vip": True, "n": 3}, "agent": {"name": "a", "provider": "openai"}}

    def label(key: str | None) -> str:
        return Limit(name="x", key=key, usd=1, per=timedelta(days=1)).label(scope)

    assert [label(key) for key in (None, "task.tenant", "task.vip", "task.n")] == ["", "acme", "true", "3"]
    assert label("task.tenant + '/' + agent.provider") == "acme/openai"
    for bad in ("task.none", "[1]", "task"):
        with pytest.raises(ExpressionError, match="the key of the limit 'x'"):
            label(bad)


def test_a_number_is_one_bucket_however_it_is_written() -> None:
    limit = Limit(name="x", key="task.tenant", usd=1, per=timedelta(days=1))
    for same in ((7, 7.0, "7"), (0, -0.0), (10**22, 1e22)):
        assert len({limit.label({"task": {"tenant": tenant}}) for tenant in same}) == 1
    assert limit.label({"task": {"tenant": 7.5}}) == "7.5"


def test_half_a_character_names_no_bucket() -> None:
    limit = Limit(name="x", key="task.tenant", usd=1, per=timedelta(days=1))
    with pytest.raises(ExpressionError, match="the key of the limit 'x' has half of a character in it"):
        limit.label({"task": {"tenant": "a\ud800"}})


@pytest.mark.parametrize(
    "key", ["agent", "agent.name.first", "agent.name + 1", "[agent.name]", "1 / 0", "null"]
)
def test_a_key_that_names_no_bucket_for_any_agent_is_told_at_once(key: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_rules([{"name": "a", "key": key, "usd": 1, "per": "1d"}])
    assert [fault.path for fault in caught.value.faults] == ["limits[0].key"]


def test_a_key_that_reads_what_there_is_not_is_told_what_keys_read() -> None:
    with pytest.raises(SpecError, match="there is no 'agnt' to read; did you mean 'agent'"):
        parse_rules([{"name": "a", "key": "agnt.model", "usd": 1, "per": "1d"}])


@pytest.mark.parametrize("key", ["agent.model", "agent.name == 'a.b'", "size(agent.model)", "'all'"])
def test_a_key_that_reads_no_task_is_tried(key: str) -> None:
    assert parse_rules([{"name": "a", "key": key, "usd": 1, "per": "1d"}]).limits[0].key == key


def test_dollars_are_exact() -> None:
    assert Limit(name="x", usd=0.1, per=timedelta(days=1)).cap == 100_000_000
    assert shown("usd", 100_000_000) == "$0.1"
    assert shown("usd", 0) == "$0"
    assert shown("model_calls", 12) == "12 model calls"


def test_the_published_schema_takes_what_is_taken() -> None:
    validator = Draft202012Validator(rules_schema())
    limit = {"name": "day", "usd": 1, "per": "1d"}
    good: list[Any] = [[limit], {"limits": [limit], "breakers": {"failures": 3}}, {}]
    bad: list[Any] = [[{**limit, "tokens": 1}], [{"name": "day", "per": "1d"}], {"limit": []}, 5]
    assert all(validator.is_valid(document) for document in good)
    assert not any(validator.is_valid(document) for document in bad)
    for document in good:
        parse_rules(document)
