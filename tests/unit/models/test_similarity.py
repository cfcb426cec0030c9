"""Similarities over real HTTP: what is sent to an embedding model, what comes back, and what it cost."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from counterstep.activities.models import litellm_client
from counterstep.activities.models.call_model import ModelCalls
from counterstep.activities.models.similarity import MOST_VECTORS, PhraseVectors, by_words, unit_vectors
from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.pool_limits.pool import Pool
from counterstep.pool_limits.rules_file import parse_rules
from counterstep.saga.agents.model_calls.model_room import Appraisal
from counterstep.saga.agents.model_protocol import ChatMessage, ModelReply, ModelRequest
from counterstep.saga.history_format import STAND_IN
from counterstep.saga.limits.unpriced import UnpricedModels
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer

PRICED = "openai/text-embedding-3-small"  # $0.02 a million
PHRASES = {"refund": ("money back", "give me a refund"), "cancel": ("cancel it",)}


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    monkeypatch.setattr(litellm_client, "_PHRASES", PhraseVectors())
    async with ModelServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


async def ask(
    text: str, model: str = PRICED, pool: Pool | None = None, phrases: Any = None, **fields: Any
) -> ModelReply:
    messages = (ChatMessage(role="user", content=text),)
    request = ModelRequest(
        agent="desk.front", models=(model,), messages=messages, phrases=phrases or PHRASES, **fields
    )
    wire = json.loads(json.dumps(request.model_dump(mode="json")))
    calls = ModelCalls(pool or Pool())
    return ModelReply.model_validate(await ActivityEnvironment().run(calls.call_model, wire))


async def test_a_text_is_as_similar_as_the_nearest_phrase_and_phrases_are_sent_once(
    server: ModelServer,
) -> None:
    first = await ask("my money back")
    assert first.output == {"refund": pytest.approx(2 / math.sqrt(6), abs=1e-6), "cancel": 0.0}
    assert first.usage.model_calls == 1
    assert (first.usage.input_tokens, first.usage.output_tokens) == (4 + 3 + 5 + 3, 0)
    assert first.usage.usd == pytest.approx(15 * 0.02 / 1e6)
    second = await ask("cancel it")
    assert second.output["cancel"] == pytest.approx(1)
    sent = [request.body["input"] for request in server.requests]
    assert sent == [["my money back", "money back", "give me a refund", "cancel it"], ["cancel it"]]
    await ask("cancel it", "openai/another", phrases={"cancel": ("cancel it",)})
    assert server.requests[-1].body["input"] == ["cancel it", "cancel it"]


async def test_vectors_that_are_not_what_was_asked_for_are_paid_and_refused(server: ModelServer) -> None:
    server.for_model("text-embedding-3-small").reply(
        Behaviour(body=json.dumps({"object": "list", "data": [], "usage": {"prompt_tokens": 7}}))
    )
    with pytest.raises(ApplicationError, match="without a vector for each text") as caught:
        await ask("x")
    assert (caught.value.type, caught.value.non_retryable) == ("ModelRefused", True)
    assert caught.value.details[0]["spent"]["input_tokens"] == 7
    assert (await ask("cancel it")).output["cancel"] == pytest.approx(1)
    server.vector = lambda text: [1.0, 0.0]
    with pytest.raises(ApplicationError, match="without a vector for each text"):
        await ask("other dimensions than the phrases have")


async def test_a_provider_that_is_down_is_worth_another_try(server: ModelServer) -> None:
    server.for_model("text-embedding-3-small").reply(
        Behaviour(status=503, body='{"error": {"message": "overloaded"}}'), Behaviour(delay=0.6)
    )
    with pytest.raises(ApplicationError) as caught:
        await ask("x")
    assert (caught.value.type, caught.value.non_retryable) == ("ModelUnavailable", False)
    with pytest.raises(ApplicationError, match=r"no answer within 0.1 s"):
        await ask("x", timeout=0.1)


async def test_it_counts_against_the_limits_of_the_pool(server: ModelServer) -> None:
    day = {"per": "1d"}
    rules = parse_rules(
        {"limits": [{"name": "calls", "model_calls": 1, **day}, {"name": "t", "tokens": 2000, **day}]}
    )
    pool = Pool(rules)
    await ask("my money back", pool=pool)
    assert {use.limit: use.used for use in await pool.store.buckets()} == {"calls": 1, "t": 15}
    with pytest.raises(ApplicationError) as caught:
        await ask("my money back", pool=pool)
    assert caught.value.type == "LimitReached"
    assert server.count() == 1


async def test_a_model_without_a_price_may_be_refused(server: ModelServer) -> None:
    pool = Pool(unpriced=UnpricedModels.model_validate("refuse"))
    with pytest.raises(ApplicationError, match="nobody knows its price"):
        await ask("x", "openai/nobody-knows-it", pool)
    assumed = Pool(unpriced=UnpricedModels.model_validate(2.0))
    assert (await ask("x", "openai/nobody-knows-it", assumed)).usage.usd == pytest.approx(12 * 2 / 1e6)


async def test_the_stand_in_compares_words() -> None:
    reply = await ask("my money back", STAND_IN)
    assert reply.output == by_words("my money back", PHRASES)
    assert reply.output["refund"] == pytest.approx(2 / math.sqrt(6), abs=1e-6)
    assert by_words("", PHRASES) == {"refund": 0.0, "cancel": 0.0}


async def test_calls_of_agents_that_are_drawn_count_as_under_way(server: ModelServer) -> None:
    store = MemoryStore()
    seen = []

    def answer(body: dict[str, Any]) -> Behaviour:
        seen.append(len(vars(store.outcomes)["_calls"].get("a.x", {})))
        return Behaviour.text("Seven.")

    server.default = answer
    for counts in (True, False):
        request = ModelRequest(
            agent="a.x",
            models=("openai/m",),
            messages=(ChatMessage(role="user", content="?"),),
            counts_load=counts,
        )
        await ActivityEnvironment().run(
            ModelCalls(Pool(store=store)).call_model, request.model_dump(mode="json")
        )
    assert seen == [1, 0]
    assert (await store.outcomes.standings(["a.x"]))["a.x"].load == 0


def test_a_budget_reckons_with_the_phrases() -> None:
    text = ChatMessage(role="user", content="x" * 1000)
    request = ModelRequest(agent="a", models=("m",), messages=(text,), max_tokens=16)
    plain = Appraisal.of(request, {}, None)
    longer = Appraisal.of(request.model_copy(update={"phrases": {"a": ("y" * 500,)}}), {}, None)
    assert plain.input_tokens >= 1000
    assert longer.input_tokens >= plain.input_tokens + 500


@pytest.mark.parametrize(
    "data",
    [
        None,
        [{"embedding": [1.0]}],
        [{"index": 0, "embedding": "x"}],
        [{"index": 0, "embedding": [0.0, 0.0]}],
        [{"index": 0, "embedding": [float("nan")]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}],
    ],
)
def test_what_is_not_a_vector_is_not_read(data: Any) -> None:
    assert unit_vectors(data, 1) is None


def test_vectors_come_back_in_the_order_of_the_texts() -> None:
    data = [{"index": 1, "embedding": [0, 2]}, {"index": 0, "embedding": [3, 4]}]
    assert unit_vectors(data, 2) == [(0.6, 0.8), (0.0, 1.0)]
    assert unit_vectors([data[0], data[0]], 2) is None, "nobody knows which text it belongs to"


def test_a_process_keeps_so_many_vectors_and_no_more() -> None:
    known = PhraseVectors()
    some = [str(number) for number in range(MOST_VECTORS)]
    known.keep("m", some, [(1.0,)] * len(some))
    assert known.missing("m", ["1", "x", "x"]) == ["x"]
    known.keep("m", ["x"], [(1.0,)])
    assert known.missing("m", ["1", "x"]) == ["1"]
    assert known.scores("m", (1.0,), {"a": ("1",)}) is None
