"""What a request that a process has written may come to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from counterstep.activities.models.hosted.dialects import bounded, most_tokens_of

SAID = [{"role": "user", "content": "ü" * 100}]


@pytest.mark.parametrize(
    ("dialect", "body", "cap"),
    [
        ("chat", {"messages": SAID}, None),
        ("chat", {"messages": SAID, "max_tokens": 50}, 50),
        ("chat", {"messages": SAID, "max_completion_tokens": 40, "max_tokens": 50}, 40),
        ("chat", {"messages": SAID, "max_tokens": 50, "n": 3}, 150),
        ("chat", {"messages": SAID, "max_tokens": True, "n": -3}, None),
        ("messages", {"messages": SAID, "max_tokens": 10**400}, 1_000_000_000),
        ("responses", {"input": SAID, "max_output_tokens": 50, "n": 3}, 50),
        ("responses", {"input": "text", "max_tokens": 50}, None),
        ("messages", {"messages": SAID, "max_tokens": 50}, 50),
    ],
)
def test_bytes_bound_what_is_sent_and_caps_what_comes_back(
    dialect: Any, body: dict[str, Any], cap: int | None
) -> None:
    sent, most = most_tokens_of(dialect, body)
    assert sent >= len(json.dumps(body, ensure_ascii=False).encode())
    assert most == cap


@pytest.mark.parametrize(
    ("dialect", "body", "fields"),
    [
        ("chat", {}, {"max_tokens": 90}),
        ("chat", {"max_tokens": 50}, {"max_tokens": 50}),
        ("chat", {"max_completion_tokens": 500}, {"max_completion_tokens": 90}),
        ("chat", {"n": 3}, {"n": 3, "max_tokens": 30}),
        ("chat", {"max_tokens": None}, {"max_tokens": 90}),
        ("responses", {}, {"max_output_tokens": 90}),
        ("messages", {"max_tokens": 500}, {"max_tokens": 90}),
    ],
)
def test_an_answer_is_bounded_by_what_is_left(
    dialect: Any, body: dict[str, Any], fields: dict[str, Any]
) -> None:
    assert bounded(dialect, body, 90) == fields
