"""The planner of Router where members take intents: what an input is like, its parts, and equals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.spec.teams.intent import Intent
from counterstep.saga.spec.teams.member import Person
from counterstep.saga.spec.teams.router import Router
from counterstep.saga.teams.moves import Comparison, Draw, FailTeam, GiveAnswer
from counterstep.saga.teams.router.destinations import likeness, text_of
from counterstep.saga.teams.router.parts import RequestPart, ordered
from counterstep.saga.teams.router.planner import EMBEDDING, WORK, RouterPlanner
from counterstep.tests.support.teams.play import Game, failure, play

MEMBERS = ("a.ann", "a.ben", "a.cleo", "a.dan")
INTENTS = {
    "ann": (Intent(name="refund", examples=("I want my money back",)),),
    "ben": (Intent(name="refund", examples=("give me a refund",)), Intent(name="cancel")),
    "cleo": (Intent(name="cancel"),),
}
"""Ann and Ben are equals for refunds, Ben and Cleo for cancelling; Dan takes what is his by name."""

TEAM: dict[str, Any] = {
    "members": MEMBERS,
    "classifier": "a.quick",
    "better": "a.careful",
    "second": "a.other",
}
BOSS = Person(name="boss", ask="Whose is it?")
TEXT = {"text": "cancel my order, and I want my money back"}
DONE = {key: f"{key} has done it" for key in ("ann", "ben", "cleo", "dan")}


def played(replies: dict[str, Any], *, draws: str = "", input: Any = TEXT, **terms: Any) -> Game:
    """Plays a router; a list is said one after the other, and `draws` names who is drawn, in order."""
    team = Router(**{**TEAM, **terms})
    told = {key: list(value) if isinstance(value, list) else value for key, value in replies.items()}
    drawn = draws.split()

    def reply(turn: Any, call: Any) -> Any:
        if isinstance(call.service, Draw):
            to = drawn.pop(0) if drawn else call.service.members[0]
            return {"to": to, "known": True, "chances": {}}
        said = {**DONE, **told}[turn.member]
        return said.pop(0) if isinstance(said, list) else said

    intents = {key: some for key, some in INTENTS.items() if f"a.{key}" in team.members}
    return play(RouterPlanner(team, intents), reply, most=team.cost().most + team.parts, input=input)


def word(to: str, confidence: float) -> dict[str, Any]:
    return {"to": to, "confidence": confidence, "reason": f"it is {to}"}


def like(refund: float, cancel: float) -> dict[str, float]:
    return {"refund": refund, "cancel": cancel}


def parts(*said: tuple[str, int]) -> dict[str, Any]:
    return {"parts": [{"request": request, "priority": priority} for request, priority in said]}


# --- embeddings, and the thresholds of what follows


@pytest.mark.parametrize(
    ("scores", "quick", "careful", "other", "asked"),
    [
        (like(0.7, 0.1), None, None, None, ""),
        (like(0.54, 0.45), None, None, None, ""),  # 1 / (1 + exp(-0.09 / 0.05)) = 0.86
        (like(0.53, 0.45), word("refund", 0.85), None, None, "quick"),  # and here it is 0.83
        (like(0.29, 0.1), word("refund", 0.85), None, None, "quick"),  # the best one is not similar
        (failure("down"), word("refund", 0.85), None, None, "quick"),
        ({}, word("refund", 0.9), None, None, "quick"),
        (like(0.5, 0.5), word("cancel", 0.84), word("refund", 0.7), None, "quick careful"),
        (like(0.5, 0.5), word("cancel", 1.5), word("refund", 0.7), None, "quick careful"),
        (
            like(0.5, 0.5),
            word("cancel", 0.8),
            word("refund", 0.69),
            word("refund", 0.1),
            "quick careful other",
        ),
        (
            like(0.5, 0.5),
            word("cancel", 0.8),
            word("refund", 0.69),
            word("cancel", 1),
            "quick careful other boss",
        ),
    ],
)
def test_each_stage_has_its_threshold(scores: Any, quick: Any, careful: Any, other: Any, asked: str) -> None:
    replies = {
        EMBEDDING: scores,
        "quick": quick,
        "careful": careful,
        "other": other,
        "boss": {"to": "refund"},
    }
    game = played(replies, embedding="e/m", default=BOSS, draws="ben")
    assert game.asked == [EMBEDDING, *asked.split(), "draw", "ben"]
    assert game.output == DONE["ben"]


def test_what_an_input_is_compared_with_and_what_is_decided_of_it() -> None:
    game = played({EMBEDDING: like(0.7, 0.1)}, embedding="e/m", draws="ben")
    service = game.calls[1].service
    assert service == Comparison(
        "e/m",
        TEXT["text"],
        {"refund": ("I want my money back", "give me a refund"), "cancel": ("cancel",)},
    )
    work = game.calls[3]
    assert (work.member, work.final, work.drawn) == ("ben", True, True)
    assert work.route == {
        "to": "refund",
        "stage": "compare",
        "confidence": 1.0,
        "draw": {"to": "ben", "known": True, "chances": {}},
    }
    assert work.reason == "embedding is sure of it, with 1: a similarity of 0.70; drawn of ann, ben"


def test_an_embedding_is_enough_and_who_agrees_with_it_is_a_second_opinion() -> None:
    terms: dict[str, Any] = {"embedding": "e/m", "classifier": None, "better": None, "second": "a.other"}
    replies = {EMBEDDING: like(0.5, 0.5), "other": word("refund", 0.1)}
    assert played(replies, **terms).asked == [EMBEDDING, "other", "draw", "ann"]
    replies["other"] = word("cancel", 1)
    end = played(replies, **terms).end
    assert isinstance(end, FailTeam)
    assert "embedding: refund, with 0.5; other: cancel, with 1" in end.message


def test_a_classifier_is_told_the_intents_and_may_name_them_and_who_has_none() -> None:
    game = played({"quick": word("dan", 0.9)})
    assert (game.asked, game.output) == (["quick", "dan"], DONE["dan"])
    call = game.calls[1]
    assert call.schema is not None and call.say is not None
    assert call.schema["properties"]["to"]["enum"] == ["refund", "cancel", "dan"]
    assert call.say["intents"]["refund"] == ["I want my money back", "give me a refund"]
    assert call.introduces == ("dan",)
    assert game.calls[2].route == {"to": "dan", "stage": "classify", "confidence": 0.9}
    assert not game.calls[2].drawn
    assert played({"quick": word("ann", 0.9), "careful": word("dan", 1)}).asked == ["quick", "careful", "dan"]


@pytest.mark.parametrize(
    ("route", "asked"), [({"intent": "cancel"}, ["draw", "cleo"]), ({"to": "ben"}, ["ben"])]
)
def test_a_rule_names_an_intent_or_a_member(route: Any, asked: list[str]) -> None:
    game = played({}, rules=[{"when": "true", **route}], draws="cleo")
    assert game.asked == asked
    route_told = game.calls[len(asked)].route
    assert route_told is not None and route_told["stage"] == "rule" and "confidence" not in route_told


def test_where_nobody_takes_part_who_takes_an_intent_it_is_not_compared_with() -> None:
    terms: dict[str, Any] = {"members": ["a.dan"], "embedding": "e/m"}
    game = played({"quick": word("dan", 1)}, **terms, rules=[{"when": "true", "intent": "refund"}])
    assert game.asked == ["quick", "dan"]


@pytest.mark.parametrize(("confidence", "asked"), [(0.1, ["other", "boss", "dan"]), (0.85, ["other", "ed"])])
def test_a_second_opinion_without_a_first_one_has_to_be_sure(confidence: float, asked: list[str]) -> None:
    game = played(
        {"other": word("ed", confidence), "ed": "done", "boss": {"to": "dan"}},
        embedding="e/m",
        members=("a.dan", "a.ed"),
        classifier=None,
        better=None,
        default=BOSS,
    )
    assert game.asked == asked


def test_a_task_of_an_earlier_engine_goes_on_with_a_second_opinion_that_agrees_with_itself() -> None:
    terms = {"members": ("a.dan", "a.ed"), "embedding": "e/m", "classifier": None, "better": None}
    team = Router(**{**TEAM, **terms})
    replies = {"other": word("ed", 0.1), "ed": "done"}
    game = play(RouterPlanner(team, {}, 5), lambda turn, _: replies[turn.member], most=9, input=TEXT)
    assert game.asked == ["other", "ed"]


def test_a_draw_that_cannot_be_used_or_has_failed_leaves_the_job_to_the_first() -> None:
    assert played({"quick": word("cancel", 1)}, draws="stranger").asked[-1] == "ben"
    team = Router(**TEAM)
    replies = {"quick": word("cancel", 1), "draw": failure("away"), **DONE}
    game = play(RouterPlanner(team, INTENTS), lambda turn, _: replies[turn.member], most=9, input=TEXT)
    assert (game.asked, game.undone) == (["quick", "draw", "ben"], [2])


@pytest.mark.parametrize(
    ("scores", "least", "to", "confidence"),
    [
        ({"a": 0.5}, 0.3, "a", 1.0),
        ({"a": 0.5, "b": 0.5}, 0.3, "a", 0.5),
        ({"a": 0.2, "b": 0.29}, 0.3, "b", 0.0),
        ({"a": 0.40, "b": 0.50}, 0.3, "b", 0.8808),
        ({"a": -1.0, "b": 1.0}, 0.3, "b", 1.0),
    ],
)
def test_the_confidence_follows_from_the_similarities(
    scores: dict[str, float], least: float, to: str, confidence: float
) -> None:
    found = likeness(scores, least)
    assert (found.to, found.confidence) == (to, confidence)


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), ({"n": 1, "x": "a", "y": "b"}, "a\nb"), ({"n": [1]}, '{"n": [1]}'), (None, "null")],
)
def test_the_text_of_an_input(value: Any, text: str) -> None:
    assert text_of(value) == text


# --- parts

TWO = parts(("I want my money back", 1), ("cancel my order", 3))


def test_an_input_is_split_and_what_comes_before_is_done_before() -> None:
    replies = {"split": TWO, "quick": [word("refund", 0.9), word("cancel", 0.9)]}
    game = played(replies, splitter="a.split", order=("cancel", "refund"), draws="ann cleo")
    assert game.asked == ["split", "quick", "quick", "draw", "draw", "cleo", "ann"]
    assert game.output == [
        {"request": "cancel my order", "to": "cancel", "output": DONE["cleo"]},
        {"request": "I want my money back", "to": "refund", "output": DONE["ann"]},
    ]
    first, second = game.calls[6], game.calls[7]
    assert first.say is not None and second.say is not None
    assert (first.say["part"], first.say["done"]) == ("cancel my order", [])
    assert second.say["done"] == [{"request": "cancel my order", "output": DONE["cleo"]}]
    assert (first.builds_on, second.builds_on) == (frozenset(), frozenset({6}))
    assert game.busiest == 2  # whom they are for is asked side by side


def test_without_an_order_the_more_urgent_is_done_first() -> None:
    replies = {"split": TWO, "quick": [word("refund", 0.9), word("cancel", 0.9)]}
    assert played(replies, splitter="a.split").asked[-2:] == ["ann", "ben"]


def test_each_part_is_routed_for_itself() -> None:
    replies = {
        "split": parts(("one", 1), ("two", 2), ("three", 3)),
        EMBEDDING: [like(0.9, 0.1), like(0.5, 0.5), failure("down")],
        "quick": [word("cancel", 0.9), word("dan", 0.5)],
        "careful": word("dan", 0.7),
    }
    game = played(replies, splitter="a.split", embedding="e/m")
    assert [answer["to"] for answer in game.output] == ["refund", "cancel", "dan"]
    assert game.asked.count(EMBEDDING) == 3
    texts = [call.service.text for call in game.calls.values() if isinstance(call.service, Comparison)]
    assert texts == ["one", "two", "three"]


@pytest.mark.parametrize("split", [failure("down"), {"parts": []}, parts(*[("x", 1)] * 6), 7])
def test_what_cannot_be_split_is_one_request(split: Any) -> None:
    game = played({"split": split, "quick": word("dan", 0.9)}, splitter="a.split")
    assert game.output == [{"request": TEXT["text"], "to": "dan", "output": DONE["dan"]}]
    assert game.calls[3].say is None


def test_a_rule_decides_about_the_whole_input_and_nobody_splits_it() -> None:
    game = played({}, splitter="a.split", rules=[{"when": "true", "to": "dan"}])
    assert (game.asked, len(game.output)) == (["dan"], 1)


def test_a_part_that_fails_takes_the_others_with_it() -> None:
    replies = {"split": TWO, "quick": [word("refund", 0.9), word("dan", 0.9)], "dan": failure("ill")}
    game = played(replies, splitter="a.split")
    assert isinstance(game.end, FailTeam)
    assert game.end.message == "dan, whom the request 'cancel my order' was for, has failed: ill"
    assert set(game.undone) == set(game.calls)


@given(data=st.data())
def test_parts_stand_in_the_order_that_is_laid_down_and_else_by_urgency(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=8))
    order = data.draw(st.lists(st.sampled_from("abc"), unique=True))
    some = [RequestPart(at, str(at), data.draw(st.integers(1, 5))) for at, _ in enumerate(names, 1)]
    found = ordered(some, [frozenset(name) for name in names], order)
    assert sorted(part.number for part in found) == [part.number for part in some]
    laid_down = [order.index(names[p.number - 1]) for p in found if names[p.number - 1] in order]
    assert laid_down == sorted(laid_down)
    free = [(part.priority, part.number) for part in found if names[part.number - 1] not in order]
    assert free == sorted(free)


@given(data=st.data())
def test_no_order_of_answers_and_failures_breaks_a_rule(data: st.DataObject) -> None:
    terms: dict[str, Any] = {"default": data.draw(st.sampled_from([None, "dan", BOSS]))}
    terms["splitter"] = data.draw(st.sampled_from([None, "a.split"]))
    terms["embedding"] = data.draw(st.sampled_from([None, "e/m"]))
    team = Router(**{**TEAM, **terms})
    to = st.sampled_from(["refund", "cancel", "dan", "stranger"])
    words = st.builds(word, to, st.floats(0, 1))
    splits = st.lists(st.tuples(st.just("x"), st.integers(1, 5)), max_size=5).map(lambda some: parts(*some))
    scores = st.builds(like, st.floats(-1, 1), st.floats(-1, 1))
    bad = st.sampled_from([failure(), {}, 7])
    game = play(
        RouterPlanner(team, INTENTS),
        lambda turn, _: data.draw(words | splits | scores | bad),
        most=team.cost().most + team.parts,
        pick=lambda count: data.draw(st.integers(0, count - 1)),
        input=TEXT,
    )
    work = [turn for turn in game.state.of(WORK) if turn.has_answered]
    if isinstance(game.end, GiveAnswer):
        answers = game.output if terms["splitter"] else [{"output": game.output}]
        assert [answer["output"] for answer in answers] == [turn.output for turn in work]
    else:
        assert set(game.undone) == set(game.calls)


# --- what is declared


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"rules": [{"when": "true"}]}, r"rules\[0\]: say to, a member, or intent"),
        ({"rules": [{"when": "true", "to": "dan", "intent": "refund"}]}, "and not both"),
        ({"classifier": None}, "better and second are asked after it, or after an embedding"),
        ({"similar": 0.4}, "similar: it is about an embedding"),
        ({"order": ["refund"]}, "order: it is about the parts of an input"),
        ({"parts": 3}, "parts: it is about the parts of an input"),
        ({"splitter": "a.split", "order": ["refund", "refund"]}, "order: 'refund' is there twice"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Router(**{**TEAM, **terms})


def test_the_answers_of_parts_are_a_list_of_what_was_declared() -> None:
    text = {"type": "string"}
    assert Router(**TEAM).answer_schema(text) == text
    split = Router(**{**TEAM, "splitter": "a.split"})
    schema = split.answer_schema(text)
    assert (schema["type"], schema["items"]["properties"]["output"]) == ("array", text)
    assert split.member_schema(schema) == text
    assert split.member_schema({}) == {}
