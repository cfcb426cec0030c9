"""The planner of MakerChecker, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.errors import FailureType
from counterstep.saga.spec.json_schema import check_input
from counterstep.saga.spec.teams.maker_checker import MakerChecker
from counterstep.saga.teams.maker_checker import MakerCheckerPlanner
from counterstep.saga.teams.moves import FailTeam, GiveAnswer, ReachLimit
from counterstep.tests.support.teams.play import Game, failure, play

PRICE = {"id": "price", "problem": "there is no price"}
TONE = {"id": "tone", "problem": "it is rude", "severity": "minor"}


def refused(*issues: Mapping[str, Any]) -> dict[str, Any]:
    return {"accepted": False, "issues": list(issues)}


ACCEPTED = {"accepted": True, "issues": []}


def played(*replies: Any, rounds: int = 3) -> Game:
    team = MakerChecker(maker="a.writer", checker="a.critic", rounds=rounds)
    return play(MakerCheckerPlanner(team), lambda turn, _: replies[turn.number - 1], most=team.cost().most)


def draft(output: Any, **answers: str) -> dict[str, Any]:
    return {"output": output, "answers": answers}


def test_a_draft_that_is_accepted_at_once_is_the_answer() -> None:
    game = played("first", ACCEPTED)
    assert (game.output, game.undone, game.asked) == ("first", [], ["writer", "critic"])
    assert game.end.keep == {1, 2}  # type: ignore[union-attr]
    assert (game.calls[1].say, game.calls[1].final, game.calls[1].beside) == (None, True, None)
    assert game.calls[2].builds_on == {1}
    assert game.calls[2].say is not None
    assert game.calls[2].say["draft"] == "first"
    assert "issues" not in game.calls[2].say


def test_a_rejected_draft_is_undone_and_the_next_answers_its_issues_by_id() -> None:
    game = played("first", refused(PRICE, TONE), draft("second", price="added", tone="softened"), ACCEPTED)
    assert (game.output, game.undone) == ("second", [1, 2])
    told, form = game.calls[3].say, game.calls[3].beside
    assert told is not None and form is not None
    assert (told["draft"], told["issues"]) == ("first", [PRICE, TONE])
    assert check_input(form["answers"], {"price": "added", "tone": " "})[0].path == "input.tone"
    assert check_input(form["answers"], {"price": "added"}), "an issue is not answered"
    shown = game.calls[4].say
    assert shown is not None
    assert shown["draft"] == "second"
    assert shown["issues"] == [{**PRICE, "answer": "added"}, {**TONE, "answer": "softened"}]


@pytest.mark.parametrize("answers", [{}, {"price": " "}, {"prize": "added"}])
def test_an_issue_that_is_not_answered_by_its_id_is_open_whatever_the_checker_says(
    answers: dict[str, str],
) -> None:
    replies = ["first", refused(PRICE), draft("second", **answers), ACCEPTED]
    game = played(*replies, draft("third", price="added"), ACCEPTED)
    assert (game.output, game.undone) == ("third", [1, 2, 3, 4])
    assert game.calls[5].say is not None
    assert game.calls[5].say["issues"] == [PRICE]


def test_an_issue_is_open_where_the_checker_accepts_the_draft_and_lists_it_all_the_same() -> None:
    game = played("first", {"accepted": True, "issues": [TONE]}, draft("second", tone="softened"), ACCEPTED)
    assert (game.output, game.undone) == ("second", [1, 2])


def test_a_maker_of_python_code_that_answers_no_issue_leaves_them_open() -> None:
    end = played("first", refused(PRICE), "second", ACCEPTED, rounds=2).end
    assert isinstance(end, ReachLimit)
    assert end.say == {"draft": "second", "issues": [PRICE]}


def test_a_draft_that_is_refused_for_no_reason_is_refused_all_the_same() -> None:
    game = played("first", refused(), draft("second", **{"draft-1": "hm"}), ACCEPTED)
    assert (game.output, game.undone) == ("second", [1, 2])


def test_no_issue_is_lost_where_two_have_one_id() -> None:
    game = played("first", refused(PRICE, {**TONE, "id": "price"}), draft("second", price="added"), ACCEPTED,
                  draft("third", **{"price-2": "softened"}), ACCEPTED)  # fmt: skip
    assert game.output == "third"
    assert game.calls[5].say is not None
    assert game.calls[5].say["issues"] == [{**TONE, "id": "price-2"}]


def test_after_the_last_draft_its_open_issues_are_told_and_all_is_undone() -> None:
    game = played("first", refused(PRICE), draft("second", price="added"), refused(TONE), rounds=2)
    assert isinstance(game.end, ReachLimit)
    assert game.end.type == FailureType.CAP_REACHED
    assert game.end.say == {"draft": "second", "issues": [TONE]}
    assert "draft 2 was the last, and is not accepted; what it did is undone; open: tone" in game.end.message
    assert game.undone == [1, 2, 3, 4]


def test_a_maker_that_answers_no_issue_in_its_turn_is_asked_for_the_next_draft() -> None:
    silent = failure("output.answers.price is required", FailureType.INVALID_OUTPUT)
    game = played("first", refused(PRICE), silent, draft("third", price="added"), ACCEPTED)
    assert (game.output, game.undone) == ("third", [1, 2, 3])
    end = played("first", refused(PRICE), silent, silent).end
    assert isinstance(end, ReachLimit)
    assert end.say == {"draft": "first", "issues": [PRICE]}


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ([failure("no stock")], "writer has made no draft: no stock"),
        ([failure("not an object", FailureType.INVALID_OUTPUT)], "writer has made no draft: not an object"),
        (["first", refused(PRICE), failure("no stock")], "writer has made no draft: no stock"),
        (["first", failure("tired")], "critic has not checked draft 1: tired"),
        (["first", {"accepted": "yes"}], "critic has not checked draft 1: output"),
    ],
)
def test_who_fails_or_answers_nonsense_fails_the_team(replies: list[Any], message: str) -> None:
    end = played(*replies).end
    assert isinstance(end, FailTeam)
    assert message in end.message


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_it_takes_as_many_turns_as_its_cost_says(rounds: int) -> None:
    cost = MakerChecker(maker="a.writer", checker="a.critic", rounds=rounds).cost()
    assert len(played("first", ACCEPTED, rounds=rounds).state.turns) == cost.least
    worst = [draft("more", price="added"), refused(PRICE)] * rounds
    assert len(played(*worst, rounds=rounds).state.turns) == cost.most


@given(data=st.data())
def test_no_order_of_answers_and_failures_breaks_a_rule(data: st.DataObject) -> None:
    ids = st.sampled_from(["a", "b"])
    issues = st.lists(st.builds(lambda id_: {"id": id_, "problem": f"{id_} is wrong"}, ids), max_size=3)
    verdicts = st.builds(lambda yes, found: {"accepted": yes, "issues": found}, st.booleans(), issues)
    bad = st.sampled_from([failure(), failure("nonsense", FailureType.INVALID_OUTPUT), "nonsense"])
    drafts = st.builds(draft, st.integers()) | st.builds(
        lambda output, answers: {"output": output, "answers": answers},
        st.integers(),
        st.dictionaries(ids, st.sampled_from(["done", ""])),
    )
    team = MakerChecker(maker="a.writer", checker="a.critic", rounds=data.draw(st.integers(1, 4)))
    game = play(
        MakerCheckerPlanner(team),
        lambda turn, _: data.draw((drafts if turn.member == "writer" else verdicts) | bad),
        most=team.cost().most,
    )
    if not isinstance(game.end, GiveAnswer):
        assert set(game.undone) == set(game.calls)
        return
    last = game.state.turns[-1].output
    assert last == {"accepted": True, "issues": []}
    assert game.end.keep == {len(game.calls) - 1, len(game.calls)}
    told = game.calls[len(game.calls) - 1].say or {"issues": []}
    answers = game.state.turns[-2].output["answers"] if told["issues"] else {}
    assert all(answers.get(issue["id"]) for issue in told["issues"]), "an open issue was not answered"
