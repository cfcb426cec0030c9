"""What is read from the moves on a board, where tasks on a server do not easily come."""

from __future__ import annotations

from typing import Any

from counterstep.client.team_decisions import team_decisions


def turn(call: str, state: str = "answered", **more: Any) -> dict[str, Any]:
    member, _, _ = call.rpartition("/")[2].rpartition(".")
    said = {"operation": "spawn", "member": member, "call": call, "state": state, "usage": None}
    return move(call.rpartition("/")[0], **{**said, **more})


def move(team: str, **more: Any) -> dict[str, Any]:
    return {
        "at": "2026-01-01T00:00:00+00:00",
        "operation": "stop",
        "team": team,
        "pattern": "debate",
        "reason": "",
        **more,
    }


def board(*moves: dict[str, Any], state: str = "running", **more: Any) -> dict[str, Any]:
    steps = {
        name: {"state": "running", "verdicts": []} for name in ("w", "w2", "each", "group", "group/inner")
    }
    return {"task": "t", "task_id": "id", "state": state, "steps": steps, "moves": moves, **more}


def ends(*moves: dict[str, Any], **more: Any) -> list[str | None]:
    return [decision.reward.turn for decision in team_decisions(board(*moves, **more))]


def test_the_step_is_the_longest_one_around_and_of_items_the_whole_step() -> None:
    found = team_decisions(
        board(turn("w2/a.1"), turn("each[0]/a.1"), turn("group/inner/a.1"), turn("call.1/a.1"))
    )
    assert [decision.step for decision in found] == ["w2", "each", "group/inner", None]


def test_what_is_inside_of_a_turn_that_was_undone_is_undone_too() -> None:
    moves = turn("w/poll.1", "undone"), turn("w/poll.1/a.1"), move("w/poll.1", kept=[1])
    assert ends(*moves) == ["undone", "undone", None]
    assert ends(turn("w/poll.1", "failed"), turn("w/poll.1/a.1", "running")) == ["failed", "stopped"]


def test_an_answer_of_a_team_that_has_given_none_is_not_kept() -> None:
    over = {"steps": {"w": {"state": "failed", "verdicts": []}}}
    assert ends(turn("w/a.1"), move("w")) == ["kept", None]
    assert ends(turn("w/a.1"), turn("w/b.2"), move("w", kept=[2]), **over) == ["undone", "kept", None]
    assert ends(turn("w/a.1"), turn("w/b.2", "running"), move("w"), **over) == ["undone", "stopped", None]


def test_what_the_ledger_and_a_recovery_have_undone_is_undone() -> None:
    moves = turn("w/a.1"), turn("w/a.10"), move("w", kept=[1, 10])
    undone = [{"id": "w/a.1/tool.1#1", "state": "undone"}]
    assert ends(*moves, ledger=undone) == ["undone", "kept", None]
    still = [*undone, {"id": "w/a.1/tool.2#1", "state": "armed"}]
    assert ends(*moves, ledger=still) == ["kept", "kept", None]
    in_child = [{"id": "w/team.1/1/w/a.1/tool.1#1", "state": "undone"}]
    assert ends(*moves, ledger=in_child) == ["undone", "kept", None]
    elsewhere = [{"id": "group/w/a.1/tool.1#1", "state": "undone"}]
    assert ends(*moves, ledger=elsewhere) == ["kept", "kept", None]
    recovered = {"state": "completed", "undone": ["w"]}
    assert ends(*moves, recovery=recovered) == ["undone", "undone", None]


def test_a_task_that_was_ended_by_force_has_no_turns_under_way() -> None:
    assert ends(turn("w/a.1", "running"), state="running") == ["running"]
    assert ends(turn("w/a.1", "running"), state="rollback_incomplete") == ["stopped"]


def test_only_the_last_run_of_a_team_stands() -> None:
    moves = [turn("w/a.1"), move("w", kept=[1]), turn("w/a.1"), turn("w/b.2"), move("w", kept=[2, 1])]
    found = team_decisions(board(*moves))
    assert [(d.run, d.reward.turn) for d in found] == [
        (1, "undone"),
        (1, None),
        (2, "kept"),
        (2, "kept"),
        (2, None),
    ]
    assert found[-1].combined is not None
    assert found[-1].combined.kept == ("w/b.2", "w/a.1")


def test_a_board_of_a_worker_that_knows_no_teams_has_none() -> None:
    assert team_decisions({"task": "t", "state": "running", "steps": {}}) == []
