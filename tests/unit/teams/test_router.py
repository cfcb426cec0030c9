"""The planner of Router, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.errors import ExpressionError, FailureType
from counterstep.saga.spec.json_schema import check_input
from counterstep.saga.spec.teams.member import Person
from counterstep.saga.spec.teams.router import Router
from counterstep.saga.teams.moves import FailTeam, GiveAnswer
from counterstep.saga.teams.router.planner import WORK, RouterPlanner
from counterstep.tests.support.teams.play import Game, failure, play

MEMBERS = ("a.billing", "a.repairs")
CLASSIFIERS = {"classifier": "a.quick", "better": "a.careful", "second": "a.other"}
ALL = ["quick", "careful", "other"]
BOSS = Person(name="boss", ask="Whose is it?")
RULES = [{"when": "input.about == 'bill'", "to": "billing"}, {"when": "input.urgent", "to": "repairs"}]
INPUT = {"about": "bike", "urgent": False}


def played(replies: dict[str, Any], *, input: Any = INPUT, **terms: Any) -> Game:
    team = Router(**{"members": MEMBERS, **terms})
    return play(RouterPlanner(team), lambda turn, _: replies[turn.member], most=team.cost().most, input=input)


def word(to: str, confidence: float) -> dict[str, Any]:
    return {"to": to, "confidence": confidence, "reason": f"it is for {to}"}


WORKERS = {"billing": "billed", "repairs": "repaired"}


@pytest.mark.parametrize(
    ("input_", "who"),
    [
        ({"about": "bill", "urgent": True}, "billing"),
        ({"about": "bike", "urgent": True}, "repairs"),
    ],
)
def test_the_first_rule_that_is_true_says_who_does_it_and_nobody_else_is_asked(input_: Any, who: str) -> None:
    game = played(WORKERS, input=input_, rules=RULES, **CLASSIFIERS)
    assert (game.asked, game.output) == ([who], WORKERS[who])
    assert (game.calls[1].say, game.calls[1].final) == (None, True)


@pytest.mark.parametrize(
    ("quick", "careful", "other", "asked"),
    [
        (word("billing", 0.85), None, None, ["quick", "billing"]),
        (word("billing", 0.84), word("repairs", 0.7), None, ["quick", "careful", "repairs"]),
        (word("billing", 0.84), word("repairs", 0.6), word("repairs", 0.1), [*ALL, "repairs"]),
        (word("billing", 0.84), word("repairs", 0.6), word("billing", 1), [*ALL, "boss", "billing"]),
        (word("nobody", 1), word("repairs", 1), None, ["quick", "careful", "repairs"]),
        (failure("down"), failure("down"), word("repairs", 1), [*ALL, "boss", "billing"]),
    ],
)
def test_who_is_not_sure_enough_is_followed_by_the_next(
    quick: Any, careful: Any, other: Any, asked: list[str]
) -> None:
    replies = {**WORKERS, "quick": quick, "careful": careful, "other": other, "boss": {"to": "billing"}}
    game = played(replies, **CLASSIFIERS, default=BOSS)
    assert (game.asked, game.output) == (asked, WORKERS[asked[-1]])
    assert game.undone == [turn.number for turn in game.state.turns if turn.failure]


def test_without_a_better_one_the_second_has_to_agree() -> None:
    terms = {"classifier": "a.quick", "second": "a.other"}
    replies = {**WORKERS, "quick": word("billing", 0.8), "other": word("billing", 0.2)}
    game = played(replies, **terms)
    assert game.asked == ["quick", "other", "billing"]
    assert game.calls[3].reason == "quick and other agree"


def test_what_a_classifier_may_answer() -> None:
    schema = played({**WORKERS, "quick": word("billing", 1)}, classifier="a.quick").calls[1].schema
    assert schema is not None
    assert not check_input(schema, word("repairs", 0.5))
    assert check_input(schema, word("stranger", 0.5))
    assert check_input(schema, word("repairs", 1.5))


def test_nobody_is_sure_and_the_default_does_it() -> None:
    replies = {**WORKERS, "quick": word("billing", 0.2)}
    game = played(replies, classifier="a.quick", default="repairs")
    assert (game.asked, game.output) == (["quick", "repairs"], "repaired")
    assert "nobody is sure" in game.calls[2].reason
    assert played(WORKERS, rules=RULES, default="repairs").asked == ["repairs"]


@pytest.mark.parametrize(
    ("replies", "terms", "message"),
    [
        ({}, {"rules": RULES}, "nobody is sure whom it is for; no rule is true"),
        ({"quick": word("billing", 0.2)}, {"classifier": "a.quick"}, "quick: billing, with 0.2"),
        ({"quick": failure("down")}, {"classifier": "a.quick"}, "quick: down"),
        (
            {"boss": failure("late")},
            {"rules": RULES, "default": BOSS},
            "boss has not chosen who does it: late",
        ),
        (
            {"boss": {"to": "me"}},
            {"rules": RULES, "default": BOSS},
            "boss has not chosen who does it: output.to",
        ),
        (
            {"repairs": failure("ill")},
            {"rules": RULES, "default": "repairs"},
            "repairs, whom it was for, has failed",
        ),
    ],
)
def test_where_nobody_does_it_the_team_fails(
    replies: dict[str, Any], terms: dict[str, Any], message: str
) -> None:
    end = played(replies, **terms).end
    assert isinstance(end, FailTeam)
    assert message in end.message


def test_a_rule_is_true_or_false() -> None:
    with pytest.raises(ExpressionError, match="must be true or false, not 'bike'"):
        played(WORKERS, rules=[{"when": "input.about", "to": "billing"}])


@pytest.mark.parametrize(
    "terms",
    [
        {"rules": RULES, "default": "repairs"},
        {"rules": RULES, "default": BOSS},
        {"classifier": "a.quick", "default": BOSS},
        {**CLASSIFIERS, "default": BOSS},
        {**CLASSIFIERS, "default": BOSS, "rules": RULES},
    ],
)
def test_it_takes_as_many_turns_as_its_cost_says(terms: dict[str, Any]) -> None:
    cost = Router(members=MEMBERS, **terms).cost()
    sure = {**WORKERS, "quick": word("billing", 1)}
    best = played(sure, **terms, input={"about": "bill", "urgent": True})
    assert len(best.calls) == cost.least
    differ = {"quick": word("billing", 0), "careful": word("billing", 0), "other": word("repairs", 0)}
    worst = played({**WORKERS, **differ, "boss": {"to": "billing"}}, **terms)
    assert len(worst.calls) == cost.most


@given(data=st.data())
def test_no_order_of_answers_and_failures_breaks_a_rule(data: st.DataObject) -> None:
    terms: dict[str, Any] = {"rules": data.draw(st.sampled_from([(), RULES]))}
    if not terms["rules"] or data.draw(st.booleans()):
        terms["classifier"] = "a.quick"
        terms["better"] = data.draw(st.sampled_from([None, "a.careful", "a.quick"]))
        terms["second"] = data.draw(st.sampled_from([None, "a.other"]))
    terms["default"] = data.draw(st.sampled_from([None, "billing", BOSS]))
    words = st.builds(word, st.sampled_from(["billing", "repairs", "stranger"]), st.floats(0, 1))
    bad = st.sampled_from([failure(), failure("nonsense", FailureType.INVALID_OUTPUT), {}, 7])
    team = Router(members=MEMBERS, **terms)
    game = play(
        RouterPlanner(team),
        lambda turn, _: data.draw(words | bad),
        most=team.cost().most,
        input={"about": data.draw(st.sampled_from(["bill", "bike"])), "urgent": data.draw(st.booleans())},
    )
    work = game.state.of(WORK)
    assert len(work) <= 1
    if isinstance(game.end, GiveAnswer):
        assert game.output == work[0].output
        assert set(game.undone) == {turn.number for turn in game.state.turns if turn.failure}
    else:
        assert set(game.undone) == set(game.calls)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({}, "say rules, an embedding or a classifier"),
        ({"rules": [{"when": "true", "to": "biling"}]}, "there is no member 'biling'"),
        ({"rules": [{"when": "inptu.x", "to": "billing"}]}, r"rules\[0\].when: .*did you mean 'input'"),
        ({"rules": [{"when": "task.x", "to": "billing"}]}, "task.x cannot be read here; there are input"),
        ({"rules": RULES, "default": "stranger"}, "there is no member 'stranger'"),
        ({"rules": RULES, "better": "a.careful"}, "better and second are asked after it"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Router(**{"members": MEMBERS, **terms})
