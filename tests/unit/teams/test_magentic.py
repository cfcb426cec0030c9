"""The planner of Magentic, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.errors import FailureType
from counterstep.saga.spec.json_schema import check_input
from counterstep.saga.spec.teams.magentic import Magentic
from counterstep.saga.teams.magentic import CONCLUDE, PLAN, PROGRESS, WORK, MagenticPlanner
from counterstep.saga.teams.moves import FailTeam, GiveAnswer, ReachLimit
from counterstep.tests.support.teams.play import Game, failure, play

MEMBERS = ("a.one", "a.two")
PLANNED = {"facts": "it is late", "plan": "one, then two"}
NONSENSE = failure("output.next: 'four' is not one of them", FailureType.INVALID_OUTPUT)


def played(*replies: Any, most: int | None = None, **terms: Any) -> Game:
    team = Magentic(**{"manager": "a.boss", "members": MEMBERS, **terms})
    return play(
        MagenticPlanner(team), lambda turn, _: replies[turn.number - 1], most=most or team.cost().most
    )


def ledger(next_: str | None = "one", *, done: bool = False, moves: bool = True, loop: bool = False) -> Any:
    word = f"do your part, {next_}" if next_ else ""
    return {
        "done": done,
        "progress": moves,
        "in_loop": loop,
        "next": next_,
        "instruction": word,
        "reason": "so",
    }


DONE = ledger(None, done=True)
STALLS = ledger(moves=False)


def purposes(game: Game) -> list[str]:
    return [turn.purpose for turn in game.state.turns]


def test_a_plan_then_members_one_by_one_then_the_answer_of_the_manager() -> None:
    game = played(PLANNED, ledger("one"), "a", ledger("two"), "b", DONE, "answer")
    assert (game.output, game.undone) == ("answer", [])
    assert purposes(game) == [PLAN, PROGRESS, WORK, PROGRESS, WORK, PROGRESS, CONCLUDE]
    assert game.asked == ["boss", "boss", "one", "boss", "two", "boss", "boss"]
    said = [{"member": "one", "output": "a"}]
    assert game.calls[5].say == {**PLANNED, "said": said, "instruction": "do your part, two"}
    assert game.calls[5].stage == "2/20"
    assert game.calls[5].builds_on == {1, 2, 3, 4}
    assert game.calls[7].final and game.calls[7].aggregates
    assert game.calls[7].say is not None
    assert game.calls[7].say["said"] == [*said, {"member": "two", "output": "b"}]


def test_what_the_manager_may_answer() -> None:
    schema = played(PLANNED, DONE, "answer").calls[2].schema
    assert schema is not None
    assert not check_input(schema, ledger("two"))
    assert check_input(schema, ledger("four"))
    assert check_input(schema, {"done": True})


def test_stalls_that_are_reached_undo_all_since_the_plan_and_the_new_one_knows_what_was_learned() -> None:
    game = played(
        PLANNED, ledger("one"), "a", STALLS, "b", STALLS,
        PLANNED, ledger("two"), "c", DONE, "answer",
        max_stalls=2,
    )  # fmt: skip
    assert (game.output, sorted(game.undone)) == ("answer", [2, 3, 4, 5, 6])
    told = game.calls[7].say
    assert told is not None
    assert told["said"] == [{"member": "one", "output": "a"}, {"member": "one", "output": "b"}]
    assert (told["facts"], told["effects"]) == (
        PLANNED["facts"],
        "all that was done since the last plan is undone",
    )
    assert game.calls[7].builds_on == {1}
    assert game.calls[11].say is not None
    assert game.calls[11].say["said"] == [{"member": "two", "output": "c"}]


def test_on_reset_keep_undoes_nothing_and_what_was_said_counts_on() -> None:
    game = played(PLANNED, ledger("one"), "a", STALLS, PLANNED, DONE, "answer", max_stalls=1, on_reset="keep")
    assert (game.output, game.undone) == ("answer", [])
    assert game.calls[7].say is not None
    assert game.calls[7].say["said"] == [{"member": "one", "output": "a"}]
    assert game.calls[5].builds_on == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("ledgers", "stalls"),
    [
        ([STALLS, STALLS], True),
        ([ledger(loop=True), STALLS], True),
        ([STALLS, ledger(), STALLS], False),
        ([ledger(), ledger(), STALLS], False),
        ([STALLS, ledger(), STALLS, STALLS], True),
    ],
)
def test_a_turn_with_progress_takes_one_stall_back(ledgers: list[Any], stalls: bool) -> None:
    replies: list[Any] = [PLANNED]
    for each in ledgers[:-1]:
        replies += [each, "a"]
    replies += [ledgers[-1], *([PLANNED] if stalls else ["a"]), DONE, "answer"]
    game = played(*replies, max_stalls=2)
    assert game.output == "answer"
    assert len(game.state.of(PLAN)) == 1 + stalls


def test_a_new_plan_begins_to_count_stalls_anew() -> None:
    game = played(PLANNED, STALLS, "a", STALLS, PLANNED, STALLS, "b", DONE, "answer", max_stalls=2)
    assert len(game.state.of(PLAN)) == 2


def test_resets_that_are_passed_are_a_limit_that_keeps_what_stands() -> None:
    game = played(PLANNED, STALLS, PLANNED, STALLS, max_stalls=1, max_resets=1)
    assert isinstance(game.end, ReachLimit)
    assert game.end.keep == {1, 3, 4}
    assert game.end.finisher == "boss"
    assert "planned anew once" in game.end.message
    assert game.end.say["plan"] == PLANNED["plan"]


def test_max_turns_is_a_limit_unless_the_job_is_done_by_then() -> None:
    replies = [PLANNED, ledger(), "a", ledger(), "b"]
    assert played(*replies, DONE, "answer", max_turns=2).output == "answer"
    end = played(*replies, ledger(), max_turns=2).end
    assert isinstance(end, ReachLimit)
    assert "not done within 2 turns" in end.message
    assert end.keep == {1, 2, 3, 4, 5, 6}


def test_the_manager_is_told_of_a_member_that_has_failed_and_goes_on() -> None:
    game = played(PLANNED, ledger("one"), failure("no stock"), ledger("two"), "b", DONE, "answer")
    assert (game.output, game.undone) == ("answer", [3])
    assert game.calls[4].say is not None
    assert game.calls[4].say["absent"] == [{"member": "one", "reason": "no stock"}]


@pytest.mark.parametrize("bad", [ledger("four"), ledger(None), {**ledger(), "instruction": " "}, 7, NONSENSE])
def test_a_ledger_that_cannot_be_used_is_asked_for_again_so_often(bad: Any) -> None:
    game = played(PLANNED, bad, bad, DONE, "answer", most=20)
    assert game.output == "answer"
    assert game.calls[3].say is not None
    assert "cannot be used: " in game.calls[3].say["your_last_ledger"]
    end = played(PLANNED, bad, bad, bad, most=20).end
    assert isinstance(end, FailTeam)
    assert "boss has made no ledger that can be used, 3 times in a row: " in end.message
    end = played({"facts": ""}, most=20, progress_attempts=1).end
    assert isinstance(end, FailTeam)


def test_a_new_plan_that_cannot_be_used_is_asked_for_again_with_what_was_learned() -> None:
    game = played(PLANNED, STALLS, {"plan": "?"}, PLANNED, DONE, "answer", max_stalls=1, most=20)
    assert (game.output, game.undone) == ("answer", [2])
    told = game.calls[4].say
    assert told is not None
    assert told["facts"] == PLANNED["facts"]
    assert "cannot be used: " in told["your_last_ledger"]


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ([failure("tired")], "boss has made no ledger that can be used: tired"),
        ([PLANNED, failure("tired")], "boss has made no ledger that can be used: tired"),
        ([PLANNED, DONE, failure("tired")], "boss had to make the answer, and has failed: tired"),
    ],
)
def test_a_manager_that_fails_fails_the_team(replies: list[Any], message: str) -> None:
    end = played(*replies).end
    assert isinstance(end, FailTeam)
    assert message in end.message


@pytest.mark.parametrize(
    ("stalls", "resets", "turns"), [(3, 2, 20), (1, 2, 4), (3, 2, 4), (3, 2, 5), (3, 0, 5), (2, 10, 1)]
)
def test_it_takes_as_many_turns_as_its_cost_says(stalls: int, resets: int, turns: int) -> None:
    limits: dict[str, Any] = {"max_stalls": stalls, "max_resets": resets, "max_turns": turns}
    cost = Magentic(manager="a.boss", members=MEMBERS, **limits).cost()
    assert len(played(PLANNED, DONE, "answer", **limits).calls) == cost.least

    def reply(turn: Any, call: Any) -> Any:
        taken = int(call.stage.partition("/")[0]) if turn.purpose == PROGRESS else 0
        if turn.purpose == PROGRESS:  # stalls as long as that makes another plan, and is done at the very end
            return DONE if taken == turns else ledger(moves=turn.round > resets)
        return PLANNED if turn.purpose == PLAN else "word"

    team = Magentic(manager="a.boss", members=MEMBERS, **limits)
    game = play(MagenticPlanner(team), reply, most=cost.most)
    assert isinstance(game.end, GiveAnswer)
    assert len(game.calls) == cost.most


@given(data=st.data())
def test_no_order_of_answers_and_failures_breaks_a_rule(data: st.DataObject) -> None:
    limits: dict[str, Any] = {
        "max_turns": data.draw(st.integers(1, 6)),
        "max_stalls": data.draw(st.integers(1, 3)),
        "max_resets": data.draw(st.integers(0, 3)),
        "progress_attempts": data.draw(st.integers(1, 3)),
        "on_reset": data.draw(st.sampled_from(["undo", "keep"])),
    }
    names = st.sampled_from(["one", "two", None])
    ledgers = st.builds(
        lambda who, done, moves, loop: ledger(who, done=done, moves=moves, loop=loop),
        names, st.sampled_from([False, False, False, True]), st.booleans(), st.booleans(),
    )  # fmt: skip
    replies = {
        PLAN: st.sampled_from([PLANNED, PLANNED, PLANNED, NONSENSE, failure()]),
        PROGRESS: ledgers | st.sampled_from([NONSENSE, failure(), 7]),
        WORK: st.sampled_from(["word", failure()]),
        CONCLUDE: st.sampled_from(["answer", failure()]),
    }
    team = Magentic(manager="a.boss", members=MEMBERS, **limits)
    game = play(
        MagenticPlanner(team),
        lambda turn, _: data.draw(replies[turn.purpose]),
        most=team.cost().most * limits["progress_attempts"],
    )
    good = [turn for turn in game.state.of(PLAN) if turn.output == PLANNED]
    assert len(good) <= 1 + limits["max_resets"]
    assert len(game.state.of(WORK)) <= limits["max_turns"]
    if isinstance(game.end, FailTeam):
        assert set(game.undone) == set(game.calls)
        return
    began = good[-1].number
    expected = {
        turn.number
        for turn in game.state.turns
        if turn.failure is None
        and (limits["on_reset"] == "keep" or turn.purpose == PLAN or turn.number > began)
    }
    assert game.end.keep == expected
