"""The planner of Planned, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.spec.teams.planned import Planned
from counterstep.saga.teams.moves import FailTeam, MemberCall, ReachLimit
from counterstep.saga.teams.planned.planner import CHECK, CONCLUDE, CONSENT_TO, PLAN, PlannedPlanner
from counterstep.saga.teams.state import Turn, TurnState
from counterstep.tests.support.teams.play import Game, failure, play

MEMBERS = ("a.one", "a.two")
PERSON = {"name": "ann", "ask": "Shall we?"}


def part(id_: str, *after: str, who: str = "one", do: str = "it") -> dict[str, Any]:
    return {"id": id_, "who": who, "do": do, "after": list(after)}


def plan(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"parts": list(parts)}


def sure(*ids: str, score: float = 1, **more: Any) -> dict[str, Any]:
    parts = [{"id": id_, "score": score, "too_large": False} for id_ in ids]
    return {"parts": parts, "missing": [], "redundant": [], **more}


def played(
    plans: list[Any],
    checks: list[Any] | None = None,
    *,
    fails: dict[str, int] | None = None,
    consents: list[Any] | None = None,
    acting: tuple[str, ...] = (),
    pick: Any = None,
    **terms: Any,
) -> Game:
    """Plays; `fails` says of parts how often they fail before they answer."""
    left = {"plans": list(plans), "checks": list(checks or []), "consents": list(consents or [])}
    failing = dict(fails or {})

    def reply(turn: Turn, call: MemberCall) -> Any:
        match turn.purpose:
            case "plan":
                return left["plans"].pop(0)
            case "check":
                return left["checks"].pop(0)
            case "consent":
                return left["consents"].pop(0)
            case "conclude":
                return "answer"
        id_ = turn.purpose.removeprefix("part:")
        if failing.get(id_, 0) > 0:
            failing[id_] -= 1
            return failure(f"no {id_}")
        return f"{id_} is done"

    team = Planned(**{"planner": "a.boss", "members": MEMBERS, **terms})
    more = {} if pick is None else {"pick": pick}
    return play(PlannedPlanner(team, acting), reply, most=team.cost().most, **more)


def parts_of(game: Game, *states: TurnState) -> list[str]:
    return [
        turn.purpose.removeprefix("part:")
        for turn in game.state.turns
        if turn.purpose.startswith("part:") and (not states or turn.state in states)
    ]


def test_parts_run_as_soon_as_what_they_come_after_has_ended() -> None:
    game = played([plan(part("c", "a", "b"), part("a"), part("b", who="two"))])
    assert (game.output, game.undone, game.busiest) == ("answer", [], 2)
    assert parts_of(game) == ["a", "b", "c"]
    call = game.calls[4]
    assert call.say == {"part": "it", "results": {"a": "a is done", "b": "b is done"}}
    assert call.builds_on == {2, 3}
    assert game.calls[5].final and game.calls[5].aggregates


def test_a_failure_changes_the_plan_and_what_is_the_same_is_kept() -> None:
    first = plan(part("a"), part("b", "a"), part("c"), part("d", "b"))
    second = plan(part("a"), part("b", "a", who="two"), part("c"), part("e", "b"))
    game = played([first, second], fails={"b": 1})
    assert game.output == "answer"
    assert parts_of(game) == ["a", "c", "b", "b", "e"], "neither a nor c is done again"
    assert game.calls[5].say is not None
    assert game.calls[5].say["wrong"] == ["'b' has failed: no b"]
    assert game.calls[5].say["done"] == [
        {"id": "a", "result": "a is done"},
        {"id": "c", "result": "c is done"},
    ]
    assert parts_of(game, TurnState.UNDONE) == [], "b has done nothing"


def test_what_has_changed_or_vanished_is_undone_with_what_was_built_on_it() -> None:
    first = plan(part("a"), part("b", "a"), part("c"), part("x", "b", "c"))
    second = plan(part("a", do="something else"), part("b", "a"), part("c"))
    game = played([first, second], fails={"x": 1})
    assert parts_of(game, TurnState.UNDONE) == ["a", "b"], "b has had the result of a"
    assert parts_of(game, TurnState.ANSWERED) == ["c", "a", "b"]


def test_validators_have_three_outcomes_for_a_part() -> None:
    words = sure("a", score=0.7)
    words["parts"] += [
        {"id": "b", "score": 0.69, "too_large": False},
        {"id": "c", "score": 1, "too_large": True},
    ]
    words |= {"missing": ["a hotel"], "redundant": ["a"]}
    game = played(
        [plan(part("a"), part("b"), part("c")), plan(part("a"))],
        [words, sure("a")],
        validators=["a.judge"],
    )
    assert game.output == "answer"
    assert [turn.purpose for turn in game.state.turns] == [PLAN, CHECK, PLAN, CHECK, "part:a", CONCLUDE]
    assert game.calls[3].say is not None
    assert game.calls[3].say["wrong"] == [
        "plan 'b' again: a validator is sure at 0.69 that one can do it, and not at 0.7",
        "plan 'c' in detail: it is too large to be done as one part",
        "there is no part for this: a hotel",
        "leave 'a' out: another part does it",
    ]


def test_the_least_sure_validator_counts_and_silence_is_no_yes() -> None:
    checks = [sure("a", score=1), sure("a", score=0.1)]
    game = played([plan(part("a"))], checks, validators=["a.judge", "a.other"], max_replans=0)
    assert isinstance(game.end, ReachLimit)
    assert "plan 1 was the last: plan 'a' again: a validator is sure at 0.1" in game.end.message
    silent = played([plan(part("a"))], [sure("z")], validators=["a.judge"], max_replans=0)
    assert isinstance(silent.end, ReachLimit)
    assert "no validator has said whether one can do it" in silent.end.message


def test_a_validator_that_breaks_down_is_no_yes() -> None:
    game = played([plan(part("a"))], [failure("gone")], validators=["a.judge"])
    assert isinstance(game.end, FailTeam)
    assert game.end.message == "judge has not checked plan 1: gone"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([part("a"), part("a")], "the key 'a' is that of the items 0 and 1"),
        ([part("a", "z")], "'a' comes after 'z', which is not in the plan"),
        ([part("a", "b"), part("b", "a")], "these wait for each other, or for such: a, b"),
        ([part("a b")], "the key 'a b' is not a name"),
        ([part("a", who="ten")], "'ten' is not one of"),
        ([part(f"p{at}") for at in range(3)], "output.parts"),
    ],
)
def test_a_plan_with_faults_is_made_again_before_anything_runs(parts: list[Any], message: str) -> None:
    game = played([plan(*parts), plan(part("a"))], max_steps=2)
    assert game.output == "answer"
    assert message in game.calls[2].say["wrong"][0]  # type: ignore[index]
    assert parts_of(game) == ["a"]


def test_a_person_is_asked_where_a_part_acts() -> None:
    no, yes = {"approved": False, "note": "too dear"}, {"approved": True}
    plans = [plan(part("a", who="two")), plan(part("a", who="two", do="less"))]
    game = played(plans, consents=[no, yes], acting=("two",), approve=PERSON)
    assert [turn.purpose for turn in game.state.turns] == [
        PLAN, CONSENT_TO, PLAN, CONSENT_TO, "part:a", CONCLUDE,
    ]  # fmt: skip
    assert game.calls[3].say["wrong"] == ["ann says no: too dear"]  # type: ignore[index]
    harmless = played([plan(part("a"))], acting=("two",), approve=PERSON)
    assert [turn.purpose for turn in harmless.state.turns] == [PLAN, "part:a", CONCLUDE]


def test_what_it_costs() -> None:
    team = Planned(planner="a.boss", members=MEMBERS, validators=["a.judge"], max_steps=2, max_replans=1)
    assert (team.cost().least, team.cost().most) == (4, 9)
    plans = [plan(part("a"), part("b")), plan(part("a", do="other"), part("b", do="other"))]
    game = played(
        plans, [sure("a", "b")] * 2, fails={"b": 1}, validators=["a.judge"], max_steps=2, max_replans=1
    )
    assert len(game.asked) == 9


@given(data=st.data())
def test_no_order_of_answers_and_failures_breaks_a_rule(data: st.DataObject) -> None:
    ids = ["a", "b", "c", "d"]

    def drawn() -> dict[str, Any]:
        chosen = data.draw(st.lists(st.sampled_from(ids), unique=True, min_size=1))
        parts = []
        for at, id_ in enumerate(chosen):
            after = data.draw(st.lists(st.sampled_from(chosen[:at]), unique=True)) if at else []
            parts.append(part(id_, *after, do=data.draw(st.sampled_from(["x", "y"]))))
        return plan(*parts)

    fails = {id_: data.draw(st.integers(0, 2)) for id_ in ids}
    game = played(
        [drawn() for _ in range(3)], fails=fails, pick=lambda most: data.draw(st.integers(0, most - 1))
    )
    assert isinstance(game.end, ReachLimit) or game.output == "answer"
