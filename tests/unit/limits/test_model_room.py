"""What a request may come to at most, and how long an answer may be so that a budget holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from counterstep import Budget
from counterstep.saga.agents.model_calls.model_room import USEFUL_ANSWER, Appraisal, Heard
from counterstep.saga.agents.model_protocol import ChatMessage, ModelRequest, ToolSchema
from counterstep.saga.limits.cost_bound import LONGEST_ANSWER, ModelFacts, most_input_tokens

DEAR = ModelFacts(input_usd=2e-6, output_usd=8e-6, longest_answer=32_000)
CHEAP = ModelFacts(input_usd=1e-7, output_usd=4e-7, longest_answer=128_000)
KNOWN = {"dear": DEAR, "cheap": CHEAP}


def request(*said: str, models: tuple[str, ...] = ("dear",), max_tokens: int | None = None) -> ModelRequest:
    messages = tuple(ChatMessage(role="user", content=text) for text in said)
    tool = ToolSchema(name="look", description="Looks.", parameters={"type": "object"})
    return ModelRequest(agent="a", models=models, messages=messages, tools=(tool,), max_tokens=max_tokens)


@given(st.text(max_size=200))
def test_a_token_is_a_byte_at_least(text: str) -> None:
    """No tokenizer over bytes makes more tokens than there are bytes; here each byte is one."""
    assert most_input_tokens([{"role": "user", "content": text}], []) >= len(text.encode()) + 3


def test_what_has_been_heard_is_known_exactly() -> None:
    whole = request("x" * 5000, "y" * 100)
    first = Appraisal.of(whole, KNOWN, None)
    then = Appraisal.of(whole, KNOWN, Heard(messages=1, tokens=1234))
    assert first.input_tokens > 5100
    assert 1334 < then.input_tokens < 1334 + 900
    both = Appraisal.of(request("x" * 5000, models=("dear", "cheap")), KNOWN, Heard(1, 9))
    assert both.input_tokens > 5000, "another model counts otherwise"


def test_the_dearest_model_of_the_chain_counts() -> None:
    bound = Appraisal.of(request("hi", models=("cheap", "dear")), KNOWN, None).bound(1000)
    assert bound.usd == pytest.approx(DEAR.usd(bound.input_tokens, 1000))
    assert Appraisal.of(request("hi", models=("other",)), KNOWN, None).longest == LONGEST_ANSWER
    assert Appraisal.of(request("hi", models=("cheap", "dear")), KNOWN, None).longest == 128_000
    assert Appraisal.of(request("hi", max_tokens=77), KNOWN, None).longest == 77


@given(
    st.integers(0, 200_000) | st.none(),
    st.floats(0, 2) | st.none(),
    st.lists(st.sampled_from(["dear", "cheap", "other"]), min_size=1, max_size=3, unique=True),
)
def test_the_longest_answer_keeps_within_what_is_left(
    tokens: int | None, usd: float | None, models: list[str]
) -> None:
    appraisal = Appraisal.of(request("hello", models=tuple(models)), KNOWN, None)
    left = Budget(tokens=tokens, usd=usd)
    longest = appraisal.longest_within(left)
    assume(longest)
    bound = appraisal.bound(longest)
    assert tokens is None or bound.input_tokens + bound.output_tokens <= tokens
    assert usd is None or bound.usd <= usd + 1e-9
    if longest < appraisal.longest:
        more = appraisal.bound(longest + 2)
        assert (tokens is not None and more.input_tokens + more.output_tokens > tokens) or (
            usd is not None and more.usd > usd
        )


def test_half_of_what_is_left_is_for_one_call_and_a_rest_for_nobody() -> None:
    appraisal = Appraisal.of(request("hello"), KNOWN, None)
    asked = appraisal.input_tokens
    assert appraisal.fair(Budget(tokens=2 * (asked + 5000)), others_wait=False) == 5000
    assert appraisal.fair(Budget(tokens=10**9), others_wait=False) == 32_000
    assert appraisal.fair(Budget(tokens=asked + 1500), others_wait=False) == 1500
    assert appraisal.fair(Budget(tokens=asked + 1500), others_wait=True) == USEFUL_ANSWER
    assert appraisal.fair(Budget(tokens=asked + 10), others_wait=False) == USEFUL_ANSWER
    assert appraisal.longest_within(Budget(tokens=asked + 10)) == 10
    assert appraisal.longest_within(Budget(tokens=asked - 10)) == 0


def test_the_wire_has_no_more_than_was_counted() -> None:
    """The bytes that are sent, without the JSON around them that no model sees."""
    whole = request("hello", "world")
    sent = sum(len(message.content or "") for message in whole.messages)
    sent += len(json.dumps(whole.tools[0].model_dump()))
    assert Appraisal.of(whole, KNOWN, None).input_tokens > sent
