"""The activity that tells the pool how well agents have done."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep.activities.outcomes import AgentOutcomes
from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.pool_limits.outcomes import OUTCOMES_KEPT_FOR, REPORTS_KEPT_FOR, MemoryOutcomes, Standing
from counterstep.pool_limits.store import StoreUnreachable
from counterstep.saga.routing.outcomes import JobOutcome


class Away(MemoryOutcomes):
    async def note(self, outcome: JobOutcome) -> bool:
        raise StoreUnreachable("away")


def told(*scores: float, **more: Any) -> dict[str, Any]:
    kind = {"kind": "verdict", "agent": "a.x", **more}
    return {"outcomes": [{**kind, "score": score, "key": f"k{at}"} for at, score in enumerate(scores)]}


async def test_outcomes_are_counted_and_repeats_of_a_call_are_not() -> None:
    store = MemoryStore()
    tell = AgentOutcomes(store.outcomes).note_outcomes
    assert await tell(told(1, 0.5)) == 2
    assert await tell(told(1, 0.5, 0)) == 1
    assert await store.outcomes.standings(["a.x"]) == {"a.x": Standing(1.5, 1.5)}


async def test_a_store_that_is_away_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    assert await AgentOutcomes(Away(lambda: 0)).note_outcomes(told(1)) == 0
    assert "outcomes of agents are lost: away" in caplog.text


async def test_what_is_old_is_forgotten() -> None:
    now = [0]
    store = MemoryOutcomes(lambda: now[0])
    outcome = JobOutcome(kind="verdict", agent="a.x", score=1, key="k")
    await store.note(outcome)
    now[0] = REPORTS_KEPT_FOR - 1
    assert not await store.note(outcome)
    now[0] += 1
    assert await store.note(outcome)
    assert len(store._reported) == 1
    now[0] += OUTCOMES_KEPT_FOR
    assert await store.standings(["a.x"]) == {"a.x": Standing()}
    await store.note(outcome)
    assert await store.standings(["a.x"]) == {"a.x": Standing(1, 0)}


@pytest.mark.parametrize(
    "wrong", [{"score": 1.5}, {"score": float("nan")}, {"kind": "Verdict!"}, {"agent": ""}, {"key": ""}]
)
def test_an_outcome_that_is_not_one_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        JobOutcome(**{"kind": "verdict", "agent": "a.x", "score": 1, "key": "k", **wrong})
