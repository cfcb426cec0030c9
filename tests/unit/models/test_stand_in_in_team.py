"""The stand-in in teams: whatever it plays, the team comes to a good end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from counterstep.activities.models.stand_in import stand_in_reply
from counterstep.saga.spec.catalog import Catalog
from counterstep.saga.spec.json_schema import check_input
from counterstep.saga.spec.teams.concurrent import Concurrent
from counterstep.saga.spec.teams.debate import Debate
from counterstep.saga.spec.teams.group_chat import GroupChat
from counterstep.saga.spec.teams.magentic import Magentic
from counterstep.saga.spec.teams.maker_checker import MakerChecker
from counterstep.saga.spec.teams.mixture import Mixture
from counterstep.saga.spec.teams.planned import Planned
from counterstep.saga.spec.teams.router import Router
from counterstep.saga.spec.teams.second_opinion import SecondOpinion
from counterstep.saga.spec.teams.team import Team
from counterstep.saga.teams.moves import GiveAnswer, MemberCall
from counterstep.saga.teams.planners import planner_of
from counterstep.saga.teams.state import Turn
from counterstep.tests.support.teams.play import Game, play

OPINION = {
    "type": "object",
    "properties": {"verdict": {"type": "string"}, "confidence": {"type": "number"}},
    "required": ["verdict", "confidence"],
}
INPUT = {"verdict": "pay", "price": 40}
MEMBERS = ("a.one", "a.two")


def reply(turn: Turn, call: MemberCall) -> Any:
    """What the stand-in answers to what a member of a team is told."""
    schema = call.schema or OPINION
    told = [json.dumps(INPUT)]
    if call.say is not None:
        word = {**call.say, **({"purpose": turn.purpose} if call.schema else {})}
        told.append(f"What your team tells you: {json.dumps(word)}")
    made = stand_in_reply([{"role": "user", "content": text} for text in told], [], schema)
    assert made.content is not None
    answer = json.loads(made.content)
    assert check_input(schema, answer) == []
    return answer


def played(team: Team) -> Game:
    return play(planner_of(team, Catalog()), reply, most=team.cost().most, input=INPUT)


@pytest.mark.parametrize(
    ("team", "asked"),
    [
        (Concurrent(members=MEMBERS, combine="vote"), ["one", "two"]),
        (Concurrent(members=MEMBERS, combine="a.chair"), ["one", "two", "chair"]),
        (Debate(members=MEMBERS), ["one", "two"]),
        (Mixture(members=MEMBERS, aggregator="a.chair", layers=1), ["one", "two", "chair"]),
        (MakerChecker(maker="a.one", checker="a.two"), ["one", "two"]),
        (
            GroupChat(members=MEMBERS, speaker="a.chair", summary="a.chair"),
            ["chair", "one", "chair", "two", "chair", "chair"],
        ),
        (
            Magentic(manager="a.boss", members=MEMBERS),
            ["boss", "boss", "one", "boss", "two", "boss", "boss"],
        ),
        (
            Planned(planner="a.boss", members=MEMBERS, validators=["a.judge", "a.other"]),
            ["boss", "judge", "other", "one", "two", "boss"],
        ),
        (Planned(planner="a.boss", members=MEMBERS, max_steps=1), ["boss", "one", "boss"]),
        (Router(members=MEMBERS, classifier="a.clerk"), ["clerk", "one"]),
        (SecondOpinion(first="a.one", other="a.two"), ["one"]),
    ],
    ids=lambda value: value.pattern if hasattr(value, "pattern") else "",
)
def test_a_team_of_stand_ins_comes_to_a_good_end(team: Team, asked: list[str]) -> None:
    game = played(team)
    assert isinstance(game.end, GiveAnswer), game.end
    assert game.asked == asked
    assert game.output == {"verdict": "pay", "confidence": 1}


def test_who_was_not_asked_by_a_team_accepts_nothing() -> None:
    schema = {"type": "object", "properties": {"accepted": {"type": "boolean"}}, "required": ["accepted"]}
    made = stand_in_reply([{"role": "user", "content": json.dumps({"please": "check"})}], [], schema)
    assert json.loads(made.content or "") == {"accepted": False}


def test_it_is_sure_only_where_the_schema_lets_it() -> None:
    fields = {"confidence": {"type": "number", "maximum": 0.5}}
    made = stand_in_reply([], [], {"type": "object", "properties": fields, "required": ["confidence"]})
    assert json.loads(made.content or "") == {"confidence": 0}


def test_a_text_that_has_to_say_something_says_something() -> None:
    fields = {"plan": {"type": "string", "pattern": "\\S"}, "note": {"type": "string", "pattern": "^$"}}
    made = stand_in_reply([], [], {"type": "object", "properties": fields, "required": ["plan", "note"]})
    assert json.loads(made.content or "") == {"plan": "x", "note": ""}
