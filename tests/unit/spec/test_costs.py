"""What a task costs in model calls, told beforehand, and what the field advises."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep import Agent, Bundle, Effect
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.saga.spec.catalog import Catalog
from counterstep.saga.spec.checker import check_spec
from counterstep.saga.spec.rules.costs import Calls, costs_of, hints_of
from counterstep.teams import Concurrent, Debate, GroupChat, Handoff


def offered() -> Catalog:
    shop = Bundle("shop")

    @shop.tool(effect=Effect.READ_ONLY)
    def look() -> str:
        return ""

    @shop.agent(effect=Effect.READ_ONLY)
    def code(what: str = "") -> str:
        return what

    def agent(name: str, **said: Any) -> Agent[Any]:
        model = f"openai/{name}"
        return shop.add(Agent(name=name, description=name, instructions="x", model=model, **said))

    a, b, c, d = (agent(name, max_turns=turns) for name, turns in (("a", 2), ("b", 3), ("c", 4), ("d", 5)))
    shop.add(Concurrent(name="poll", description="x", members=[a, b, code], combine="vote", judge=c))
    debate = shop.add(Debate(name="debate", description="x", members=[a, b]))
    shop.add(Concurrent(name="nested", description="x", members=[debate, c]))
    shop.add(GroupChat(name="chat", description="x", members=[a, b, c, d], done="true"))
    agent("boss", tools=[look, debate])
    agent("desk", max_turns=2, handoffs=[d, Handoff(to=a)], max_handoffs=3)
    shop.add_task(a)
    return Registry([shop]).catalog


CATALOG = offered()


@pytest.mark.parametrize(
    ("step", "least", "most"),
    [
        ({"agent": "shop.a"}, 1, 2),
        ({"agent": "shop.a", "when": "1 == 2"}, 0, 2),
        ({"agent": "shop.a", "for_each": "[1, 2]"}, 0, None),
        ({"agent": "shop.code"}, None, None),
        ({"tool": "shop.look"}, None, None),
        ({"agent": "shop.poll"}, 0, 4 * 4),  # one of its members is code, and the judge has four turns
        ({"agent": "shop.debate"}, 2, 4 * 3),
        ({"agent": "shop.nested"}, 2, 2 * 12),
        ({"agent": "shop.boss"}, 1, None),
        ({"agent": "shop.desk"}, 1, 4 * 5),
        ({"workflow": "shop.a"}, 1, 2),
        ({"group": {"steps": [{"id": "i", "agent": "shop.b"}, {"id": "j", "agent": "shop.c"}]}}, 2, 7),
        ({"team": {"pattern": "debate", "members": ["shop.a", "shop.b"], "rounds": 3}}, 2, 6 * 3),
    ],
)
def test_a_step_costs(step: dict[str, Any], least: int | None, most: int | None) -> None:
    spec = parse_spec({"name": "t", "steps": [{"id": "s", **step}]})
    assert check_spec(spec, CATALOG) == []
    costs = costs_of(spec, CATALOG)
    assert (costs[-1].calls if costs else None) == (None if least is None else Calls(least, most))


def test_a_judge_of_outputs_is_a_call_and_the_task_is_the_sum() -> None:
    judge = {"judge": {"model": "openai/z", "criteria": "good"}}
    steps = [{"id": "s", "agent": "shop.a", "validate": [judge]}, {"id": "t", "agent": "shop.b"}]
    assert [str(cost) for cost in costs_of(parse_spec({"name": "t", "steps": steps}), CATALOG)] == [
        "steps[0]: 2 to 3 model calls (shop.a: 2 turns at most)",
        "steps[1]: 1 to 3 model calls (shop.b: 3 turns at most)",
        "the whole task: 3 to 6 model calls",
    ]


def test_a_number_that_cannot_be_at_one_end_of_the_difficulty_is_a_hint() -> None:
    team = {
        "pattern": "mixture",
        "members": ["shop.a", "shop.b"],
        "aggregator": "shop.c",
        "difficulty": "task.hard",
    }
    steps = [
        {"id": "low", "team": {**team, "layers": "ceil(difficulty * 3)"}},
        {"id": "high", "team": {**team, "layers": "max(1, ceil(difficulty * 6))"}},
        {"id": "right", "team": {**team, "layers": "max(1, ceil(difficulty * 3))"}},
    ]
    spec = parse_spec({"name": "t", "steps": steps})
    assert check_spec(spec, CATALOG) == []
    assert [str(hint).split(";")[0] for hint in hints_of(spec, CATALOG)] == [
        "low: layers: 'ceil(difficulty * 3)' comes to 0",
        "high: layers: 'max(1, ceil(difficulty * 6))' comes to 6",
    ]
    assert [str(cost.calls) for cost in costs_of(spec, CATALOG)][:1] == ["3 to 44 model calls"]


def test_hints_of_the_field() -> None:
    steps = [
        {"id": "s", "agent": "shop.chat"},
        {"id": "t", "agent": "shop.debate"},
        {"id": "b", "agent": "shop.boss"},
    ]
    spec = parse_spec({"name": "t", "steps": steps, "budget": {"model_calls": 2}})
    told = [str(hint) for hint in hints_of(spec, CATALOG)]
    assert told[0] == "5 agents take part; more than 4 seldom do better"
    assert "shop.chat has 4 speakers; a chat of more than 3 seldom gets on" in told
    assert any(
        hint.startswith("shop.debate debates; try concurrent with combine: vote first") for hint in told
    )
    assert told[-1] == "budget.model_calls: 2 are fewer than the 4 that the task takes at least"


def test_a_task_without_models_costs_nothing_and_has_no_hints() -> None:
    spec = parse_spec({"name": "t", "steps": [{"id": "s", "tool": "shop.look"}]})
    assert costs_of(spec, CATALOG) == []
    assert list(hints_of(spec, CATALOG)) == []
