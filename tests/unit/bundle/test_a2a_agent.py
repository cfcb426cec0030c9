"""What is declared of an agent elsewhere, and what is refused."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from counterstep import A2AAgent, Bundle, DefinitionError, Effect
from counterstep.bundle.registry import Registry


def guests(**said: Any) -> Bundle:
    """Returns a bundle with one agent elsewhere."""
    bundle = Bundle("guests")
    declared = {
        "name": "hotel",
        "description": "Books rooms.",
        "url": "https://hotel.example",
        "effect": "read_only",
        **said,
    }
    bundle.add_task(A2AAgent(**declared))
    return bundle


def test_it_is_an_agent_like_any_other_and_where_it_is_no_task_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTEL_TOKEN", "sesame")
    registry = Registry([guests(headers={"Authorization": "Bearer env:HOTEL_TOKEN"}, metadata={"task": "a"})])
    agent = registry.catalog.agents["guests.hotel"]
    assert (agent.effect, agent.python, agent.interruptible) == (Effect.READ_ONLY, True, True)
    assert "hotel.example" not in registry.catalog.model_dump_json()
    remote = registry.remotes["guests.hotel"]
    assert remote.terms.headers == {"Authorization": "Bearer sesame"}
    assert remote.secrets == ["sesame"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"description": ""}, "say in its description"),
        ({"url": "hotel.example"}, "url is an http or https address"),
        ({"url": 3}, "url is an http or https address"),
        ({"url": "https://ann:x@hotel.example"}, "its url has credentials in it"),
        ({"headers": ["a"]}, "headers must be a mapping"),
        ({"url": "http://[::1"}, "url is an http or https address"),
        ({"url": "https://"}, "url is an http or https address"),
        ({"url": "https://hotel.example:99999"}, "url is an http or https address"),
        ({"url": "https://hotel.example?a=b"}, "without a query"),
        ({"headers": {"a b": "c"}}, "'a b' is not the name of a header"),
        ({"headers": {"a": "ü"}}, "the value of 'a' has letters that no header can have"),
        ({"metadata": {"a": {1, 2}}}, "metadata is JSON"),
        ({"metadata": {"a": float("nan")}}, "metadata is JSON"),
        ({"headers": {"a": 1}}, "the names and values of headers are texts"),
        ({"effect": None}, "its effect is not said"),
        ({"effect": "compensatable"}, "it is compensatable but names no compensation"),
        ({"idempotent": "yes"}, "idempotent is True or False"),
        ({"require_signature": True}, "require_signature needs keys"),
        ({"keys": 3}, "keys is the path of a file"),
        ({"metadata": "a"}, "metadata is a mapping"),
        ({"timeout": "soon"}, "timeout: a duration looks like"),
    ],
)
def test_a_wrong_declaration_is_refused_with_the_reason(said: dict[str, Any], told: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        guests(**said)
    assert "agent guests.hotel: " in str(refused.value)
    assert told in str(refused.value)


def test_a_worker_without_what_it_needs_does_not_start() -> None:
    with pytest.raises(DefinitionError) as refused:
        Registry([guests(url="env:HOTEL_NOWHERE", keys="/no/such/keys.json")])
    assert str(refused.value).splitlines() == [
        "agent guests.hotel: HOTEL_NOWHERE is not set in the worker's environment",
        "agent guests.hotel: keys: there is no file '/no/such/keys.json'",
    ]


def test_a_worker_without_the_packages_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "a2a", None)
    with pytest.raises(DefinitionError, match=r'pip install "counterstep\[a2a\]"'):
        Registry([guests()])


def test_a_part_of_the_url_may_be_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTEL_HOST", "hotel.example")
    registry = Registry([guests(url="https://env:HOTEL_HOST/agent")])
    assert registry.remotes["guests.hotel"].terms.url == "https://hotel.example/agent"


def test_what_the_environment_holds_is_looked_at_and_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTEL_URL", "ftp://nowhere")
    monkeypatch.setenv("HOTEL_TOKEN", "sesame\nopen")
    with pytest.raises(DefinitionError) as refused:
        Registry([guests(url="env:HOTEL_URL", headers={"Authorization": "Bearer env:HOTEL_TOKEN"})])
    assert "url env:HOTEL_URL is not an http or https address in the worker's" in str(refused.value)
    assert "headers: the value of 'Authorization' has letters that no header can" in str(refused.value)
    assert "nowhere" not in str(refused.value)
    assert "sesame" not in str(refused.value)
