"""Who of equals is drawn: it learns who does best, and spreads what comes at once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from counterstep.activities.outcomes import AgentOutcomes
from counterstep.pool_limits.bandit import select
from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.pool_limits.outcomes import MemoryOutcomes, Standing
from counterstep.pool_limits.store import StoreUnreachable
from counterstep.saga.routing.outcomes import VERDICT, JobOutcome
from counterstep.saga.routing.selection import Selection

RATES = {"a.best": 0.9, "a.good": 0.7, "a.poor": 0.4}
"""How often the work of each passes; nobody tells that to the one who draws."""


class Away(MemoryOutcomes):
    async def standings(self, agents: Sequence[str]) -> dict[str, Standing]:
        raise StoreUnreachable("away")


async def jobs(seed: int, count: int) -> list[str]:
    """Returns who did each of so many jobs, every one of which is reported as a validator finds it."""
    rng = random.Random(seed)
    store = MemoryOutcomes(lambda: 0)
    told = AgentOutcomes(store, random.Random(seed + 1))
    done = []
    for number in range(count):
        drawn = Selection.model_validate(await told.select_agent({"agents": list(RATES)}))
        score = float(rng.random() < RATES[drawn.agent])
        await store.note(JobOutcome(kind=VERDICT, agent=drawn.agent, score=score, key=str(number)))
        done.append(drawn.agent)
    return done


@pytest.mark.parametrize("seed", [1, 20, 300])
async def test_it_learns_who_is_best_and_regrets_little(seed: int) -> None:
    done = await jobs(seed, 600)
    late = Counter(done[300:])
    regret = sum(RATES["a.best"] - RATES[agent] for agent in done)
    by_chance = 600 * (RATES["a.best"] - sum(RATES.values()) / len(RATES))
    print(f"seed {seed}: the best does {late['a.best'] / 3:.0f} % of jobs 301-600; regret {regret:.1f}")
    assert late["a.best"] > 0.7 * 300
    assert late["a.poor"] < 0.1 * 300
    assert regret < by_chance / 2  # who draws blindly regrets 140 of 600


async def test_who_becomes_worse_is_found_out() -> None:
    store = MemoryOutcomes(lambda: 0)
    told = AgentOutcomes(store, random.Random(5))
    for number in range(1000):
        await store.note(JobOutcome(kind=VERDICT, agent="a.x", score=1, key=f"x{number}"))
        await store.note(JobOutcome(kind=VERDICT, agent="a.y", score=float(number % 5 > 0), key=f"y{number}"))
    picks: Counter[str] = Counter()
    for number in range(600):
        drawn = (await told.select_agent({"agents": ["a.x", "a.y"]}))["agent"]
        score = 0.2 if drawn == "a.x" else 0.8
        await store.note(JobOutcome(kind=VERDICT, agent=drawn, score=score, key=f"late{number}"))
        picks[drawn] += number >= 400
    assert picks["a.y"] > 180


def test_the_draws_of_one_agent_have_its_beta_distribution() -> None:
    rng = random.Random(7)
    draws = [select({"a": Standing(8, 2)}, 0, rng, known=True).chances["a"].draw or 0.0 for _ in range(4000)]
    mean = sum(draws) / len(draws)
    variance = sum((one - mean) ** 2 for one in draws) / len(draws)
    assert mean == pytest.approx(9 / 12, abs=0.01)  # Beta(1 + 8, 1 + 2)
    assert variance == pytest.approx(9 * 3 / (12**2 * 13), abs=0.002)


def test_with_nothing_known_everybody_has_the_same_chance() -> None:
    rng = random.Random(3)
    some = {name: Standing() for name in "abcd"}
    picks = Counter(select(some, 0, rng, known=False).agent for _ in range(4000))
    assert all(900 < picks[name] < 1100 for name in some)


def test_who_is_too_busy_is_left_out_however_good_it_is() -> None:
    rng = random.Random(1)
    some = {"good": Standing(400, 0, load=4), "poor": Standing(0, 400, load=0)}
    busy = select(some, 3, rng, known=True)
    assert (busy.agent, busy.chances["good"].draw, busy.chances["good"].load) == ("poor", None, 4)
    assert select(some, 4, rng, known=True).agent == "good"
    all_busy = {name: Standing(load=9) for name in "ab"}
    assert all(chance.draw is not None for chance in select(all_busy, 0, rng, known=True).chances.values())


async def test_those_who_draw_at_once_see_each_other() -> None:
    store = MemoryStore()
    told = AgentOutcomes(store.outcomes, random.Random(2))
    picks = Counter(
        [
            (await told.select_agent({"agents": ["a.x", "a.y"], "ahead": 1, "key": str(number)}))["agent"]
            for number in range(20)
        ]
    )
    assert sorted(picks.values()) in ([9, 11], [10, 10])


async def test_with_the_store_away_it_is_drawn_by_the_prior() -> None:
    told = AgentOutcomes(Away(lambda: 0), random.Random(4))
    found = [
        Selection.model_validate(await told.select_agent({"agents": ["a.x", "a.y"], "key": "k"}))
        for _ in range(100)
    ]
    assert not any(one.known for one in found)
    assert 30 < sum(one.agent == "a.x" for one in found) < 70
