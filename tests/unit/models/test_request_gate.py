"""What a request to a model meets before it is sent: breakers and limits, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from counterstep.activities.models import model_chain
from counterstep.activities.models.call_model import ModelCalls
from counterstep.activities.models.request_gate import limit_reached
from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.pool_limits.pool import Pool
from counterstep.pool_limits.rules_file import parse_rules
from counterstep.pool_limits.store import Charge, Full, PoolStore, StoreUnreachable
from counterstep.saga.agents.model_protocol import ChatMessage, ModelReply, ModelRequest
from counterstep.saga.history_format import STAND_IN
from counterstep.saga.limits.unpriced import IGNORED, UnpricedModels
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer

PRICED = "openai/gpt-4o"  # $2.5 and $10 a million
DAY = {"per": "1d"}
SICK = Behaviour(status=503, body='{"error": {"message": "overloaded"}}')


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.default = Behaviour.text("Seven.").with_(usage=(100, 10))
        yield server


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_chain, "PATIENCE", 0.3)


class Pools:
    """A pool, asked as its workers ask."""

    def __init__(
        self,
        *limits: dict[str, Any],
        breakers: dict[str, Any] | None = None,
        unpriced: UnpricedModels = IGNORED,
        store: PoolStore | None = None,
    ) -> None:
        rules = parse_rules({"limits": limits, "breakers": breakers or {}})
        self.pool = Pool(rules, store, unpriced)
        self._calls = ModelCalls(self.pool)
        self._numbers = count()

    async def ask(
        self, *models: str, task: Any = None, info: dict[str, Any] | None = None, **fields: Any
    ) -> ModelReply:
        said = (ChatMessage(role="user", content="What does A1 cost?"),)
        pool = None if task is None else {"task": task, "type": "shop.order"}
        request = ModelRequest(
            agent="shop.buyer", models=models or (PRICED,), messages=said, pool=pool, **fields
        )
        environment = ActivityEnvironment()
        info = info or {"activity_id": f"call-{next(self._numbers)}"}
        environment.info = replace(environment.info, **info)
        wire = json.loads(request.model_dump_json(exclude_defaults=True))
        return ModelReply.model_validate(await environment.run(self._calls.call_model, wire))

    async def refused(self, *models: str, **fields: Any) -> ApplicationError:
        with pytest.raises(ApplicationError) as caught:
            await self.ask(*models, **fields)
        return caught.value

    async def used(self) -> dict[str, int]:
        return {f"{use.limit} {use.label}".strip(): use.used for use in await self.pool.store.buckets()}


async def test_what_is_booked_in_the_end_is_what_it_has_cost(server: ModelServer) -> None:
    pools = Pools(
        {"name": "tenant", "key": "task.tenant", "usd": 1, **DAY},
        {"name": "tokens", "key": "agent.model", "tokens": 100_000, **DAY},
        {"name": "calls", "key": "agent.provider + ' ' + agent.name", "model_calls": 5, **DAY},
        {"name": "starts", "tasks": 1, **DAY},
    )
    reply = await pools.ask(task={"tenant": "acme"})
    assert reply.usage.usd == pytest.approx(100 * 2.5e-6 + 10 * 10e-6)
    assert await pools.used() == {
        "tenant acme": 350_000,
        f"tokens {PRICED}": 110,
        "calls openai shop.buyer": 1,
    }


async def test_a_call_that_may_cost_more_than_there_is_is_not_made(server: ModelServer) -> None:
    # Its longest answer has 16384 tokens, for $0.16384.
    pools = Pools({"name": "tenant", "key": "task.tenant", "usd": 0.17, **DAY})
    assert (await pools.ask(task={"tenant": "acme"})).output == "Seven."
    for _ in range(20):
        await pools.ask(task={"tenant": "acme"}, max_tokens=20)
    error = await pools.refused(task={"tenant": "acme"})
    assert error.type == "LimitReached" and error.non_retryable
    assert error.details[0]["limit"] == "tenant"
    midnight = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert datetime.fromisoformat(error.details[0]["until"]) == midnight
    assert "the limit tenant (acme) is reached: $0.00735 of $0.17 are used" in error.message
    assert (await pools.ask(task={"tenant": "other"})).output == "Seven."
    assert server.count() == 22


async def test_a_call_that_never_fits_says_so(server: ModelServer) -> None:
    error = await Pools({"name": "small", "usd": 0.01, **DAY}).refused()
    told = error.details[0]
    assert (told["until"], told["limit"], told["spent"]["model_calls"]) == (None, "small", 0)
    assert "a smaller max_tokens" in error.message
    assert server.count() == 0


async def test_an_answer_of_unknown_length_is_bounded(server: ModelServer) -> None:
    pools = Pools({"name": "tokens", "tokens": 100_000, **DAY})
    await pools.ask("openai/unheard-of")
    await pools.ask(PRICED)
    await Pools().ask("openai/unheard-of")
    assert [request.body.get("max_tokens") for request in server.requests] == [4096, None, None]


async def test_calls_side_by_side_never_pass_the_limit_together(server: ModelServer) -> None:
    server.default = Behaviour.text("Seven.").with_(usage=(100, 10), delay=0.05)
    pools = Pools({"name": "calls", "model_calls": 7, **DAY})
    done = await asyncio.gather(*(pools.ask() for _ in range(25)), return_exceptions=True)
    assert sum(isinstance(reply, ModelReply) for reply in done) == 7
    assert server.count() == 7


async def test_who_waits_for_others_to_give_back_waits_here(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reserved is far more than is spent: as soon as one has ended, the next one fits."""
    monkeypatch.setattr(model_chain, "PATIENCE", 20)
    server.default = Behaviour.text("Seven.").with_(usage=(100, 10), delay=0.1)
    pools = Pools({"name": "tokens", "tokens": 17_500, **DAY})
    done = await asyncio.gather(*(pools.ask() for _ in range(2)))
    assert [reply.output for reply in done] == ["Seven.", "Seven."]
    monkeypatch.setattr(model_chain, "PATIENCE", 0.1)
    server.default = Behaviour.text("Seven.").with_(usage=(100, 10), delay=1)
    one = asyncio.create_task(pools.ask())
    await asyncio.sleep(0.2)
    error = await pools.refused()  # it takes longer than a call waits by itself
    until = datetime.fromisoformat(error.details[0]["until"])
    assert timedelta(0) < until - datetime.now(UTC) < timedelta(seconds=6)
    await one


@pytest.mark.parametrize(
    ("behaviour", "kept"),
    [
        (SICK, False),
        (Behaviour(status=400, body="{}"), False),
        (Behaviour(drop=True), True),
        (Behaviour.text("late").with_(delay=2), True),
        (Behaviour(status=504, body="{}"), True),
    ],
)
async def test_what_a_failed_request_may_have_cost_stays_booked(
    server: ModelServer, behaviour: Behaviour, kept: bool
) -> None:
    server.reply(behaviour)
    pools = Pools({"name": "usd", "usd": 1, **DAY}, {"name": "calls", "model_calls": 5, **DAY})
    await pools.refused(timeout=0.3)
    used = await pools.used()
    assert used["calls"] == 1
    assert (used["usd"] > 160_000_000) == kept
    assert kept or used["usd"] == 0


async def test_every_request_of_a_call_is_booked_the_lost_ones_too(server: ModelServer) -> None:
    """A second attempt, and the same call once more when a wait is over."""
    server.reply(Behaviour(drop=True), Behaviour(drop=True))
    pools = Pools({"name": "calls", "model_calls": 3, **DAY}, {"name": "usd", "usd": 1, **DAY})
    call = {"activity_id": "write/model.1#1"}
    later = datetime.now(UTC) + timedelta(hours=1)
    await pools.refused(info=call)
    await pools.refused(info={**call, "attempt": 2})
    assert (await pools.ask(info={**call, "scheduled_time": later})).output == "Seven."
    assert (await pools.used())["calls"] == server.count() == 3
    assert (await pools.used())["usd"] > 2 * 160_000_000
    assert (await pools.refused(info={**call, "attempt": 3})).type == "LimitReached"


async def test_a_request_that_was_never_sent_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    pools = Pools({"name": "usd", "usd": 1, **DAY})
    assert (await pools.refused()).type == "ModelUnavailable"
    assert await pools.used() == {"usd": 0}


async def test_the_next_model_is_asked_where_the_first_has_reached_its_limit(server: ModelServer) -> None:
    pools = Pools({"name": "calls", "key": "agent.model", "model_calls": 1, **DAY})
    chain = (PRICED, "openai/gpt-4o-mini")
    assert [(await pools.ask(*chain)).model for _ in range(2)] == list(chain)
    assert (await pools.refused(*chain)).type == "LimitReached"


async def test_a_key_that_cannot_be_evaluated_fails_the_call(server: ModelServer) -> None:
    pools = Pools({"name": "tenant", "key": "task.tenant", "usd": 1, **DAY})
    for task in (None, {}, {"tenant": ["acme"]}):
        error = await pools.refused(task=task)
        assert (error.type, error.non_retryable) == ("ExpressionError", True)
        assert "the key of the limit 'tenant'" in error.message
    assert server.count() == 0


async def test_models_without_a_price(server: ModelServer) -> None:
    limit = {"name": "usd", "usd": 10, **DAY}
    ignoring = Pools(limit)
    assert (await ignoring.ask("openai/unheard-of")).usage.usd is None
    assert await ignoring.used() == {"usd": 0}
    assuming = Pools(limit, unpriced=UnpricedModels.model_validate("1000"))
    assert (await assuming.ask("openai/unheard-of")).usage.usd == pytest.approx(0.11)
    assert await assuming.used() == {"usd": 110_000_000}
    refusing = Pools(unpriced=UnpricedModels.model_validate("refuse"))
    error = await refusing.refused("openai/unheard-of")
    assert error.type == "ModelRefused" and "nobody knows its price" in error.message
    assert (await refusing.ask("openai/unheard-of", PRICED)).model == PRICED
    assert server.count() == 3


async def test_an_open_breaker_goes_to_the_next_model_at_once(server: ModelServer) -> None:
    server.for_model("gpt-4o").default = SICK
    pools = Pools()
    for _ in range(5):
        assert (await pools.refused()).type == "ModelUnavailable"
    error = await pools.refused()
    assert (error.type, error.non_retryable, error.details[0]["limit"]) == ("BreakerOpen", True, PRICED)
    assert "503" in error.message and "overloaded" in error.message
    ahead = datetime.fromisoformat(error.details[0]["until"]) - datetime.now(UTC)
    assert timedelta(seconds=25) < ahead <= timedelta(seconds=30)
    assert (await pools.ask(PRICED, "openai/gpt-4o-mini")).model == "openai/gpt-4o-mini"
    assert server.count("gpt-4o") == 5


async def test_one_probe_decides(server: ModelServer) -> None:
    server.reply(SICK, SICK, SICK)
    pools = Pools(breakers={"failures": 2, "cool_down": "400ms"})
    await pools.refused()
    await pools.refused()
    assert (await pools.refused()).type == "BreakerOpen"
    await asyncio.sleep(0.45)
    ends = await asyncio.gather(*(pools.refused() for _ in range(6)))
    assert sorted(str(end.type) for end in ends) == ["BreakerOpen"] * 5 + ["ModelUnavailable"]
    assert server.count() == 3
    await asyncio.sleep(0.45)
    assert (await pools.ask()).output == "Seven."
    assert (await pools.ask()).output == "Seven."


async def test_a_call_waits_a_moment_for_a_breaker_by_itself(server: ModelServer) -> None:
    server.reply(SICK)
    pools = Pools(breakers={"failures": 1, "cool_down": "200ms"})
    await pools.refused()
    assert (await pools.ask()).output == "Seven."


@pytest.mark.parametrize(
    "answer",
    [
        Behaviour(status=400, body='{"error": {"message": "too long"}}'),
        Behaviour(status=401, body='{"error": {"message": "no key"}}'),
        Behaviour(status=429, body="{}", headers={"retry-after": "7"}),
    ],
)
async def test_what_says_nothing_of_the_model_opens_no_breaker(
    server: ModelServer, answer: Behaviour
) -> None:
    server.reply(answer, answer, answer)
    pools = Pools(breakers={"failures": 2})
    for _ in range(3):
        await pools.refused()
    assert (await pools.ask()).output == "Seven."


async def test_breakers_can_be_left_out(server: ModelServer) -> None:
    server.default = SICK
    pools = Pools(breakers={"models": False, "failures": 1})
    assert [(await pools.refused()).type for _ in range(3)] == ["ModelUnavailable"] * 3


async def test_the_stand_in_meets_limits_too() -> None:
    pools = Pools({"name": "calls", "model_calls": 1, **DAY}, {"name": "usd", "usd": 0, **DAY})
    assert (await pools.ask(STAND_IN)).model == STAND_IN
    assert (await pools.refused(STAND_IN)).type == "LimitReached"


class _Away(MemoryStore):
    async def ask(self, *_: Any) -> Any:
        raise StoreUnreachable("it is gone")

    reserve = settle = report = ask  # type: ignore[assignment]


async def test_a_store_that_is_away_closes_money_and_opens_breakers(server: ModelServer) -> None:
    limited = Pools({"name": "calls", "model_calls": 1, **DAY}, store=_Away())
    error = await limited.refused()
    assert (error.type, error.details[0]["limit"]) == ("LimitReached", "calls")
    assert "the store of limits cannot be reached" in error.message
    ahead = datetime.fromisoformat(error.details[0]["until"]) - datetime.now(UTC)
    assert timedelta(seconds=3) < ahead <= timedelta(seconds=5)
    assert server.count() == 0
    assert (await Pools(store=_Away()).ask()).output == "Seven."


async def test_a_paid_answer_is_kept_where_it_cannot_be_settled(server: ModelServer) -> None:
    class Half(MemoryStore):
        async def settle(self, *_: Any) -> Any:
            raise StoreUnreachable("it is gone")

    pools = Pools({"name": "calls", "model_calls": 2, **DAY}, store=Half())
    assert (await pools.ask()).output == "Seven."
    assert await pools.used() == {"calls": 1}


async def test_only_a_limit_that_depends_on_it_advises_a_smaller_max_tokens() -> None:
    for unit, advises in (("model_calls", False), ("tokens", True), ("usd", True), ("tasks", False)):
        full = Full(Charge("day", "", unit, 1000, 1, 0), 0, None, held=False)
        assert ("max_tokens" in limit_reached(full).message) is advises
