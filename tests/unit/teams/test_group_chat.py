"""The planner of GroupChat, without a server."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.errors import FailureType
from counterstep.saga.spec.json_schema import check_input
from counterstep.saga.spec.teams.group_chat import GroupChat
from counterstep.saga.teams.group_chat import SPEAK, GroupChatPlanner
from counterstep.saga.teams.moves import FailTeam, GiveAnswer, ReachLimit
from counterstep.tests.support.teams.play import Game, failure, play

MEMBERS = ("a.one", "a.two", "a.three")
NONSENSE = failure("output.next: 'four' is not one of them", FailureType.INVALID_OUTPUT)


def played(*replies: Any, most: int | None = None, **terms: Any) -> Game:
    team = GroupChat(**{"members": MEMBERS, **terms})
    return play(
        GroupChatPlanner(team), lambda turn, _: replies[turn.number - 1], most=most or team.cost().most
    )


def chosen(next_: str | None) -> dict[str, Any]:
    return {"next": next_, "reason": f"it is for {next_}"}


def speakers(game: Game) -> list[str]:
    return [turn.member for turn in game.state.of(SPEAK)]


def test_a_round_robin_goes_on_until_it_is_done_and_each_hears_all() -> None:
    game = played("a", "b", "c", "done", done="output == 'done'")
    assert (game.output, game.undone, speakers(game)) == ("done", [], ["one", "two", "three", "one"])
    assert game.calls[1].say is None
    assert game.calls[3].say == {"said": [{"member": "one", "output": "a"}, {"member": "two", "output": "b"}]}
    assert game.calls[3].builds_on == {1, 2}
    assert game.calls[4].final
    assert game.calls[4].stage == "4/10"


def test_a_rule_says_who_is_next_and_when_it_ends() -> None:
    rule = "last == null ? 'two' : (turns.size() < 2 ? 'one' : null)"
    game = played("a", "b", speaker=rule)
    assert (game.output, speakers(game)) == ("b", ["two", "one"])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("'four'", "there is no member 'four'; there are one, two, three"),
        ("'fo' + 'ur'", "there is no member 'four'"),
        (
            "turns.size() < 1 ? 'two' : 'two'",
            "two was the last to be asked, and nobody speaks twice in a row",
        ),
        ("turns.size() < 0 ? 'two' : null", "nobody speaks"),
    ],
)
def test_a_rule_that_cannot_be_followed_fails_the_team(rule: str, message: str) -> None:
    end = played("a", "b", speaker=rule).end
    assert isinstance(end, FailTeam)
    assert message in end.message


def test_an_agent_chooses_who_is_next_and_ends_the_chat() -> None:
    game = played(chosen("two"), "a", chosen("one"), "b", chosen(None), speaker="a.chair")
    assert (game.output, speakers(game)) == ("b", ["two", "one"])
    first, second = game.calls[1].schema, game.calls[3].schema
    assert first is not None and second is not None
    assert check_input(first, chosen(None)), "there is no end before anybody has spoken"
    assert check_input(second, chosen("two")), "nobody speaks twice in a row"
    assert not check_input(second, chosen(None))
    assert game.calls[1].introduces == ("one", "two", "three")


@pytest.mark.parametrize("bad", [chosen("four"), chosen("two"), {"reason": "?"}, "one", NONSENSE])
def test_a_choice_that_cannot_be_used_is_repaired_once(bad: Any) -> None:
    begin = [chosen("two"), "a", bad]
    game = played(*begin, chosen("one"), "b", chosen(None), speaker="a.chair")
    assert game.output == "b"
    assert game.calls[4].say is not None
    assert "cannot be used: " in game.calls[4].say["your_last_choice"]
    end = played(*begin, bad, speaker="a.chair").end
    assert isinstance(end, FailTeam)
    assert "chair has chosen twice in a way that cannot be used: " in end.message


def test_what_is_wrong_with_a_choice_is_told() -> None:
    game = played(chosen("two"), "a", chosen("two"), chosen("four"), speaker="a.chair")
    assert game.calls[4].say is not None
    told = game.calls[4].say["your_last_choice"]
    assert "two was the last to be asked, and nobody speaks twice in a row; there are one, three" in told
    assert isinstance(game.end, FailTeam)
    assert "there is no member 'four'; there are one, three" in game.end.message


def test_who_chooses_and_fails_fails_the_team() -> None:
    end = played(failure("no budget"), speaker="a.chair").end
    assert isinstance(end, FailTeam)
    assert "chair has not chosen who is next: no budget" in end.message


def test_the_chat_goes_on_without_one_who_has_failed() -> None:
    game = played("a", failure("no stock"), "done", done="output == 'done'")
    assert (game.output, game.undone) == ("done", [2])
    assert game.calls[3].say == {
        "said": [{"member": "one", "output": "a"}],
        "absent": [{"member": "two", "reason": "no stock"}],
    }
    assert game.calls[3].builds_on == {1}


def test_two_failures_one_after_the_other_fail_the_team() -> None:
    game = played("a", failure("no stock"), failure("no card"), done="false")
    assert isinstance(game.end, FailTeam)
    assert "two: no stock; three: no card" in game.end.message
    assert sorted(game.undone) == [1, 2, 3]


def test_max_turns_is_a_limit_with_what_was_said() -> None:
    end = played("a", "b", done="false", max_turns=2).end
    assert isinstance(end, ReachLimit)
    assert end.keep == {1, 2}
    assert end.finisher == "two"
    assert end.say == {"said": [{"member": "one", "output": "a"}, {"member": "two", "output": "b"}]}
    assert "has not ended within 2 turns" in end.message


def test_who_chooses_may_end_the_chat_after_the_last_turn() -> None:
    replies = [chosen("two"), "a"]
    assert played(*replies, chosen(None), speaker="a.chair", max_turns=1).output == "a"
    end = played(*replies, chosen("one"), speaker="a.chair", max_turns=1).end
    assert isinstance(end, ReachLimit)
    assert end.finisher == "chair"


def test_a_summary_makes_the_answer_of_what_was_said() -> None:
    game = played("a", "done", "both", done="output == 'done'", summary="a.editor")
    assert (game.output, game.undone) == ("both", [])
    assert not game.calls[1].final
    assert game.calls[3].final and game.calls[3].aggregates
    assert game.calls[3].builds_on == {1, 2}
    end = played("done", failure("tired"), done="output == 'done'", summary="a.editor").end
    assert isinstance(end, FailTeam)
    assert "editor had to sum up, and has failed: tired" in end.message


RULE = "last != null && last.output == 'done' ? null : turns.size() % 2 == 0 ? 'one' : 'two'"
TERMS: list[dict[str, Any]] = [
    {"done": "output == 'done'"},
    {"done": "output == 'done'", "summary": "a.editor"},
    {"speaker": RULE},
    {"speaker": "a.chair"},
    {"speaker": "a.chair", "summary": "a.editor"},
    {"speaker": "a.chair", "done": "output == 'done'"},
]


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("max_turns", [1, 4])
def test_it_takes_as_many_turns_as_its_cost_says(terms: dict[str, Any], max_turns: int) -> None:
    team = GroupChat(members=MEMBERS, max_turns=max_turns, **terms)
    cost = team.cost()

    def turns(last: int, *, done: bool) -> int:
        """Plays until somebody has spoken so often; `done` is whether the expression is to end it."""

        def reply(turn: Any, call: Any) -> Any:
            if turn.member == "chair":
                return chosen(None if turn.round > last else MEMBERS[turn.round % 2][2:])
            return "done" if turn.round >= last and done else "more"

        game = play(GroupChatPlanner(team), reply, most=cost.most)
        assert isinstance(game.end, GiveAnswer)
        return len(game.calls)

    assert turns(1, done=True) == cost.least
    assert turns(max_turns, done=team.chooser is None) == cost.most


@given(data=st.data())
def test_no_order_of_answers_and_failures_breaks_a_rule(data: st.DataObject) -> None:
    terms = data.draw(st.sampled_from(TERMS))
    team = GroupChat(members=MEMBERS, max_turns=data.draw(st.integers(1, 5)), **terms)
    choices = st.sampled_from([*map(chosen, ("one", "two", "three", "four", None)), NONSENSE, 7, failure()])
    words = st.sampled_from(["more", "done", 1, failure()])
    repairs = team.max_turns + 1 if team.chooser is not None else 0
    game = play(
        GroupChatPlanner(team),
        lambda turn, _: data.draw(choices if turn.member == "chair" else words),
        most=team.cost().most + repairs,
    )
    spoken = speakers(game)
    assert len(spoken) <= team.max_turns
    assert all(one != two for one, two in pairwise(spoken))
    if isinstance(game.end, FailTeam):
        assert set(game.undone) == set(game.calls)
    else:
        assert game.end.keep == {turn.number for turn in game.state.turns if turn.failure is None}


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"members": ["a.one"], "done": "true"}, "a chat has two members or more"),
        ({}, "nobody ends a round robin"),
        ({"done": "task.x"}, "done: task.x cannot be read here; there are turns, last, output, input"),
        ({"speaker": "lost.member"}, None),
        ({"speaker": "lst.member == 'one' ? 'two' : null"}, "did you mean 'last'"),
        ({"speaker": "output == 'x' ? 'two' : null"}, "output cannot be read here; there are turns, last"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(terms: dict[str, Any], message: str | None) -> None:
    if message is None:  # what looks like a name is one
        assert GroupChat(**{"members": MEMBERS, **terms}).chooser == "lost.member"
        return
    with pytest.raises(ValueError, match=message):
        GroupChat(**{"members": MEMBERS, **terms})
