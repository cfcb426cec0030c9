"""Every pattern of a team on a real server: its cost, failures, limits, budgets and cancels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import TypeAdapter

from counterstep.embedded import EmbeddedServer
from counterstep.saga.spec.teams.pattern import Cost, Pattern
from counterstep.saga.spec.teams.team import Team
from counterstep.saga.teams import agent_caller
from counterstep.saga.teams.moves import GiveAnswer, Move, Planner, UndoTurns
from counterstep.saga.teams.planners import planner_of
from counterstep.saga.teams.state import TeamState, TurnState
from counterstep.tests.support.bundles.agents import board_of, team_at_work
from counterstep.tests.support.bundles.crew import crew
from counterstep.tests.support.bundles.desk import VARIABLE, Desk, desk
from counterstep.tests.support.tasks.tasks import end_of, tell, until_asked
from counterstep.tests.support.teams.cast import Cast, calls_in
from counterstep.tests.support.teams.shapes import (
    DELEGATES,
    MAKER_CHECKER,
    MIXTURE,
    SECOND_OPINION,
    SHAPES,
    VOTE,
    Cap,
    Shape,
    Step,
)
from counterstep.tests.support.teams.team_stage import TeamStage

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

PATTERNS = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
EACH = pytest.mark.parametrize("shape", [*SHAPES, DELEGATES], ids=lambda shape: shape.name)
LIMITED = pytest.mark.parametrize(
    ("shape", "cap"), [pytest.param(s, s.cap, id=s.name) for s in SHAPES if s.cap is not None]
)
BEHIND = {"id": "after", "needs": ["w"], "tool": "desk.put", "input": {"what": "x", "fail": "not_applied"}}
_TEAM: TypeAdapter[Pattern] = TypeAdapter(Team)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TeamStage]:
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("teams") / "desk.sqlite"
        patch.setenv(VARIABLE, str(path))
        async with team_at_work(server.address, f"teams-{uuid4()}", patch, [desk, crew]) as (tasks, models):
            yield TeamStage(tasks, Cast(models), Desk(path))


def cost_of(shape: Shape) -> Cost:
    return _TEAM.validate_python(shape.team).cost()


def without_none(team: Step) -> dict[str, Any]:
    return {key: value for key, value in team.items() if value is not None}


# --- cost


@PATTERNS
async def test_the_model_calls_are_those_of_the_formula(stage: TeamStage, shape: Shape) -> None:
    runs = [await stage.start(shape.team, words, busy=False) for words in (shape.least, shape.most)]
    for (handle, name), turns in zip(runs, cost_of(shape)[:2], strict=True):
        end = await end_of(handle)
        assert end.type == "completed", end.message
        asked = [move for move in (await board_of(handle))["moves"] if "call" in move]
        assert len(asked) == turns
        # What is stopped as soon as a vote is decided may have sent its request, or not.
        stopped = sum(move["state"] == "stopped" for move in asked)
        assert turns - stopped <= end.details["usage"]["model_calls"] <= stage.cast.count(name) <= turns


# --- what stands


async def undoes_what_is_not_a_part(stage: TeamStage, shape: Shape) -> None:
    """Says that nothing but the answer stands, and that it took the calls that it had to."""
    handle, name = await stage.start(shape.team, shape.most)
    end = await end_of(handle)
    assert (end.type, end.output) == ("completed", shape.verdict)
    assert sorted(stage.standing(name)) == sorted(shape.stands)
    assert sorted([*stage.of(name, "undone"), *shape.stands]) == sorted(stage.of(name, "done"))
    assert stage.cast.count(name) == calls_in(shape.most)


@EACH
async def test_what_is_not_a_part_of_the_answer_is_undone(stage: TeamStage, shape: Shape) -> None:
    await undoes_what_is_not_a_part(stage, shape)


@dataclass
class KeepsLosers:
    """A planner that is wrong: all that stands at the end is to stay."""

    right: Planner

    def next(self, state: TeamState) -> Move:
        move = self.right.next(state)
        if not isinstance(move, GiveAnswer):
            return move
        return replace(move, keep=frozenset(turn.number for turn in state.standing))


@dataclass
class ForgetsToUndo:
    """A planner that is wrong: what is superseded or rejected is not undone before the next turn."""

    right: Planner

    def next(self, state: TeamState) -> Move:
        move = self.right.next(state)
        while isinstance(move, UndoTurns):  # it believes that they are undone
            for number in move.turns:
                state = state.change(number, state=TurnState.UNDONE)
            move = self.right.next(state)
        if isinstance(move, GiveAnswer):
            return replace(move, keep=frozenset(turn.number for turn in state.turns if turn.has_answered))
        return move


@pytest.mark.parametrize(
    ("wrong", "shape"),
    [
        (KeepsLosers, VOTE),
        (KeepsLosers, SECOND_OPINION),
        (ForgetsToUndo, MAKER_CHECKER),
        (ForgetsToUndo, MIXTURE),
    ],
    ids=lambda part: getattr(part, "name", getattr(part, "__name__", "")),
)
async def test_a_planner_that_is_wrong_on_purpose_is_noticed(
    stage: TeamStage, monkeypatch: pytest.MonkeyPatch, wrong: Callable[[Planner], Planner], shape: Shape
) -> None:
    monkeypatch.setattr(agent_caller, "planner_of", lambda *args: wrong(planner_of(*args)))
    with pytest.raises(AssertionError, match=r"assert \['ann 1', "):  # it says what stands
        await undoes_what_is_not_a_part(stage, shape)


@pytest.mark.slow
@EACH
async def test_a_failure_behind_a_team_undoes_what_stands_of_it(stage: TeamStage, shape: Shape) -> None:
    handle, name = await stage.start(shape.team, shape.most, BEHIND)
    end = await end_of(handle)
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "after")
    stage.leaves_nothing(name)


@EACH
async def test_a_team_that_fails_in_the_middle_is_undone(stage: TeamStage, shape: Shape) -> None:
    handle, name = await stage.start(shape.team, shape.fails)
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", shape.type)
    assert shape.reason in end.failure["message"]
    stage.leaves_nothing(name)
    assert stage.cast.count(name) == calls_in(shape.fails)


# --- limits


@LIMITED
async def test_a_limit_fails_the_team_and_everything_is_undone(
    stage: TeamStage, shape: Shape, cap: Cap
) -> None:
    team = without_none({**shape.team, **cap.changes, cap.key: "fail"})
    handle, name = await stage.start(team, cap.words)
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", cap.type)
    assert cap.message in end.failure["message"]
    stage.leaves_nothing(name)
    assert stage.cast.count(name) == calls_in(cap.words)


@LIMITED
@pytest.mark.slow
async def test_at_a_limit_one_last_call_sums_up(stage: TeamStage, shape: Shape, cap: Cap) -> None:
    team = without_none({**shape.team, **cap.changes, cap.key: "finish"})
    words = {**cap.words, cap.finisher: [*cap.words.get(cap.finisher, ()), cap.sums_up]}
    handle, name = await stage.start(team, words)
    end = await end_of(handle)
    assert (end.type, end.output) == ("completed", "a summary")
    assert cap.message in (await board_of(handle))["steps"]["w"]["degraded"]
    assert stage.cast.count(name) == calls_in(words)


@pytest.mark.slow
@LIMITED
async def test_at_a_limit_a_person_decides(stage: TeamStage, shape: Shape, cap: Cap) -> None:
    team = without_none({**shape.team, **cap.changes, cap.key: "escalate"})
    handle, name = await stage.start(team, cap.words)
    await until_asked(handle, "w", cap.message)
    await tell(handle, "decide", step="w", action="rollback")
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", cap.type)
    stage.leaves_nothing(name)


@EACH
async def test_a_budget_ends_it_in_order_and_never_with_one_call_more(stage: TeamStage, shape: Shape) -> None:
    allowed = calls_in(shape.most) - 1
    handle, name = await stage.start(shape.team, shape.most, budget={"model_calls": allowed})
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
    assert stage.cast.count(name) == end.details["usage"]["model_calls"] == allowed
    stage.leaves_nothing(name)


# --- cancels


@EACH
@pytest.mark.slow
async def test_a_cancel_in_the_middle_undoes_everything(stage: TeamStage, shape: Shape) -> None:
    handle, name = await stage.start(shape.team, shape.most, held=shape.held)
    await stage.desk.until("done", f"{name} {shape.held}")
    await handle.cancel()
    stage.desk.release(f"{name} {shape.held}")
    assert (await end_of(handle)).type == "cancelled"
    stage.leaves_nothing(name)
    assert stage.cast.count(name) < calls_in(shape.most)
