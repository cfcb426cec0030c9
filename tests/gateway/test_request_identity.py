"""When requests of a process are the same."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep.activities.gateway.request_identity import (
    RequestKeys,
    digest,
    loose_digest,
    loose_part,
    normal_form,
)

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Book it."}], "temperature": 0}


def test_how_an_answer_travels_and_who_pays_is_not_what_is_asked() -> None:
    said = {**CHAT, "stream": True, "stream_options": {"include_usage": True}, "user": "u", "store": False}
    said |= {"metadata": {"run": "7"}, "prompt_cache_key": "x", "safety_identifier": "y"}
    assert normal_form("chat", said) == normal_form("chat", CHAT)


@pytest.mark.parametrize(
    "change", [{"temperature": 1}, {"model": "n"}, {"tools": []}, {"messages": []}, {"n": 2}]
)
def test_everything_else_is(change: dict[str, Any]) -> None:
    assert digest(normal_form("chat", {**CHAT, **change})) != digest(normal_form("chat", CHAT))


def test_the_order_of_keys_says_nothing_and_that_of_messages_does() -> None:
    turned = dict(reversed(CHAT.items()))
    assert digest(normal_form("chat", turned)) == digest(normal_form("chat", CHAT))
    two = {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}
    other = {"messages": two["messages"][::-1]}
    assert digest(normal_form("chat", two)) != digest(normal_form("chat", other))


def test_ids_that_clients_make_say_nothing_and_those_of_calls_do() -> None:
    item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "book", "arguments": "{}"}
    one = normal_form("responses", {"input": [item]})
    assert one == normal_form("responses", {"input": [{**item, "id": "fc_2"}]})
    assert one != normal_form("responses", {"input": [{**item, "call_id": "call_2"}]})
    reference = {"type": "item_reference", "id": "rs_1"}
    two = normal_form("responses", {"input": [reference]})
    assert two != normal_form("responses", {"input": [{**reference, "id": "rs_2"}]})


def test_where_a_cache_is_asked_for_says_nothing() -> None:
    block = {"type": "text", "text": "a"}
    marked = {"messages": [{"role": "user", "content": [{**block, "cache_control": {"type": "ephemeral"}}]}]}
    assert normal_form("messages", marked) == {"messages": [{"role": "user", "content": [block]}]}


def test_the_date_that_a_command_line_agent_tells_says_nothing() -> None:
    def said(date: str) -> Any:
        return normal_form(
            "messages", {"system": f"Today's date is {date}. <current_date>{date}", "model": "m"}
        )

    assert said("2026-11-28") == said("2026-11-29")
    assert normal_form("chat", {"messages": "on 2026-11-28"}) != normal_form(
        "chat", {"messages": "on 2026-11-29"}
    )


def test_the_loose_match_leaves_numbers_ids_and_paths_out_and_keeps_the_ids_of_calls() -> None:
    def said(text: str, call: str = "call_1") -> Any:
        return {"messages": [{"role": "tool", "tool_call_id": call, "content": text}]}

    first = loose_digest(said("Wall time: 0.047 s in /tmp/abc1 for 3f2504e0-4f89-11d3-9a0c-0305e82c3301"))
    assert first == loose_digest(
        said("Wall time: 12.3 s in /tmp/zz/9 for 9b2504e0-4f89-11d3-9a0c-0305e82c33ff")
    )
    assert first != loose_digest(
        said("Wall clock: 0.047 s in /tmp/abc1 for 3f2504e0-4f89-11d3-9a0c-0305e82c3301")
    )
    assert loose_digest(said("a", "call_1")) != loose_digest(said("a", "call_2"))


def test_equal_requests_are_counted_and_side_by_side_they_may_swap_places() -> None:
    first, again = RequestKeys(), RequestKeys()
    assert [first.key("tool", d) for d in "aba"] == ["tool:a:1", "tool:b:1", "tool:a:2"]
    assert {again.key("tool", d) for d in "aab"} == {"tool:a:1", "tool:a:2", "tool:b:1"}


def test_what_a_client_sends_again_is_the_request_that_is_under_way() -> None:
    keys = RequestKeys()
    assert keys.key("model", "a", loose="l") == "model:a:1:l"
    assert keys.key("model", "a", loose="l", is_retry=True) == "model:a:1:l"
    assert keys.key("model", "a", loose="l") == "model:a:2:l"
    assert keys.key("model", "b", is_retry=True) == "model:b:1"  # the first one never came


def test_who_has_gone_away_without_the_answer_may_ask_for_it_once_more() -> None:
    keys = RequestKeys()
    lost = keys.key("tool", "a")
    keys.abandon(lost)
    assert keys.key("tool", "a") == lost
    assert keys.key("tool", "a") == "tool:a:2"


def test_a_key_tells_its_loose_part() -> None:
    assert loose_part("model:a:1:l") == "l"
    assert loose_part("tool:a:1") == ""
