"""What is asked that is not a member: a draw never fails, and who has failed by itself is reported."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, RetryState

from counterstep.activities.outcomes import AgentOutcomes
from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.pool_limits.outcomes import Standing
from counterstep.saga.agents.agent_outcome import AgentOutcome
from counterstep.saga.agents.assignment import Assignment
from counterstep.saga.errors import FailureType
from counterstep.saga.failure import Failed, Failure
from counterstep.saga.history_format import NOTE_OUTCOMES, SELECT_AGENT
from counterstep.saga.teams.long.moved_team import TurnOutcome
from counterstep.saga.teams.moves import Draw
from counterstep.saga.teams.router.consultant import Consultant

JOB = Assignment(step="w", path="w", round=2, input={}, depends_on=frozenset(), compensation="c")
AGENTS = {"ann": "a.ann", "ben": "b.ben"}


class Local:
    """Runs local activities here, or not at all."""

    def __init__(self, *, works: bool = True) -> None:
        self.store = MemoryStore().outcomes
        self.ids: list[str] = []
        self._told = AgentOutcomes(self.store)
        self._works = works

    async def local(self, activity: str, arg: Any, *, activity_id: str, **_: Any) -> Any:
        self.ids.append(activity_id)
        if not self._works:
            error = ActivityError(
                "failed",
                scheduled_event_id=1,
                started_event_id=1,
                identity="",
                activity_type=activity,
                activity_id=activity_id,
                retry_state=RetryState.MAXIMUM_ATTEMPTS_REACHED,
            )
            error.__cause__ = ApplicationError("no such activity")
            raise error
        run = {SELECT_AGENT: self._told.select_agent, NOTE_OUTCOMES: self._told.note_outcomes}
        return await run[activity](arg)


@pytest.fixture(autouse=True)
def _outside_of_a_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "logger", logging.getLogger("test"))


def consultant(local: Local) -> Consultant:
    return Consultant(cast("Any", None), cast("Any", local), "root")


async def test_a_draw_is_one_local_activity_and_names_members_as_the_team_does() -> None:
    local = Local()
    await local.store.begin("b.ben", "1", 60_000)
    outcome = await consultant(local).draw(Draw(("ann", "ben"), 0), AGENTS, JOB, "w/draw.3")
    assert outcome.output["to"] == "ann"
    assert outcome.output["chances"]["ben"] == {"draw": None, "good": 0.0, "bad": 0.0, "load": 1}
    assert local.ids == ["w/draw.3#2"]
    assert (await local.store.standings(["a.ann"]))["a.ann"].load == 1, "the draw itself counts at once"


async def test_where_nobody_can_be_drawn_the_first_one_does_it() -> None:
    outcome = await consultant(Local(works=False)).draw(Draw(("ben", "ann"), 0), AGENTS, JOB, "w/draw.3")
    assert outcome.output == {"to": "ben", "known": False, "chances": {}}


@pytest.mark.parametrize(
    ("type_", "bad"),
    [
        (FailureType.GAVE_UP, 1),
        (FailureType.MAX_TURNS, 1),
        (FailureType.INVALID_OUTPUT, 1),
        (FailureType.MODEL_UNAVAILABLE, 0),
        (FailureType.BUDGET_EXCEEDED, 0),
        (FailureType.CANCELLED, 0),
    ],
)
async def test_a_failure_that_is_the_agents_own_counts_against_it(type_: str, bad: int) -> None:
    local = Local()
    failed = Failed(Failure(step="w", type=type_, message="x"))
    for _ in range(2):
        await consultant(local).report_failure(failed, "a.ann", "w/ann.4", 2)
    assert await local.store.standings(["a.ann"]) == {"a.ann": Standing(0, bad)}
    assert local.ids == ["w/ann.4/outcome#2"] * 2 * bad


async def test_a_pool_that_cannot_be_told_fails_nobody() -> None:
    failed = Failed(Failure(step="w", type=FailureType.GAVE_UP, message="x"))
    await consultant(Local(works=False)).report_failure(failed, "a.ann", "w/ann.4", 1)


def test_who_was_drawn_comes_along_from_a_child() -> None:
    outcome = consultant(Local()).with_draw(AgentOutcome(output=1), "a.ann", "w/ann.4", 2)
    packed = TurnOutcome.model_validate(
        TurnOutcome.of(outcome).model_dump(mode="json", exclude_defaults=True)
    )
    assert packed.unpacked(1).drawn == outcome.drawn
    (drawn,) = outcome.drawn
    assert (drawn.agent, len(drawn.key)) == ("a.ann", 32)
