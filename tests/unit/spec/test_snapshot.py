"""What a task settles at its start, and by which rules it is run from then on."""

from __future__ import annotations

from typing import Any

from temporalio.testing import ActivityEnvironment

from counterstep import Agent, Bundle, Effect
from counterstep.activities.resolve import Resolver
from counterstep.bundle.registry import Registry
from counterstep.saga.history_format import ENGINE
from counterstep.saga.spec.snapshot import Snapshot

SPEC = {"name": "nap", "steps": [{"id": "rest", "wait": {"time": "1s"}}]}


async def test_a_task_that_begins_now_is_run_by_the_newest_rules() -> None:
    resolver = Resolver(Registry([Bundle("shop")]), inline_specs=True)
    for question in ({"spec": SPEC, "input": {}}, {}):
        answer = await ActivityEnvironment().run(resolver.resolve, question)
        assert Snapshot.model_validate(answer).engine == ENGINE


def test_a_snapshot_that_was_taken_before_is_run_by_the_rules_of_then() -> None:
    assert Snapshot.model_validate({"task": "nap"}).engine == 1
    assert ENGINE > 1


async def test_a_snapshot_knows_what_every_model_may_cost_that_a_task_can_ask() -> None:
    shop = Bundle("shop")
    shop.add(Agent(name="clerk", description="Sells.", instructions="Sell.", model="openai/gpt-4o-mini"))

    @shop.tool(effect=Effect.READ_ONLY, guard=[judge("openai/gpt-4.1-nano")])
    def look() -> str:
        """Looks."""
        return "all is well"

    steps = [
        {
            "id": "sell",
            "agent": "shop.clerk",
            "input": {"input": "a cup"},
            "guard": [judge("openai/gpt-4.1")],
            "validate": [judge("openai/gpt-4o")],
            "on_failure": {"model": "openai/gpt-4.1-mini"},
        },
        {"id": "see", "tool": "shop.look", "input": {}},
    ]
    resolver = Resolver(Registry([shop]), inline_specs=True)
    spec = {"name": "sale", "budget": {"usd": 1}, "steps": steps}
    answer = await ActivityEnvironment().run(resolver.resolve, {"spec": spec, "input": {}})
    models = Snapshot.model_validate(answer).models
    names = ("gpt-4o-mini", "gpt-4.1-nano", "gpt-4.1", "gpt-4o", "gpt-4.1-mini")
    assert set(models) == {f"openai/{name}" for name in names}
    assert all(facts.input_usd for facts in models.values())


def judge(model: str) -> dict[str, Any]:
    """A check by a model."""
    return {"judge": {"model": model, "criteria": "It is fine."}}
