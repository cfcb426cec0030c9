"""What the fault explorer holds against a run, judged on runs that are written down by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from counterstep.bundle.spec_file import parse_spec
from counterstep.testing.explorer.effect_ledger import Visit
from counterstep.testing.explorer.fault import FaultKind, PlannedFault, Role
from counterstep.testing.explorer.invariants import check_trial, keys_told
from counterstep.testing.explorer.trial import Trial
from counterstep.testing.explorer.undo_order import must_wait

SPEC = parse_spec(
    {
        "name": "evening",
        "steps": [
            {"id": "hall", "tool": "t.order"},
            {"id": "music", "tool": "t.order", "needs": ["hall"]},
        ],
    }
)
SKIPS = parse_spec(
    {
        "name": "evening",
        "steps": [
            {"id": "hall", "tool": "t.order", "on_failure": "skip"},
            {"id": "music", "tool": "t.order", "needs": ["hall"]},
        ],
    }
)
WORKER, KILLED = 1, 2


def visit(point: str, began: int, *, pid: int = WORKER, **changes: Any) -> Visit:
    """One attempt that did what it should, in the moments `began` to `began` + 2."""
    path = point.partition("#")[0]
    undo = path.endswith("/undo")
    step = path.removesuffix("/undo")
    made = Visit(
        point=point,
        activity="t.cancel" if undo else "t.order",
        role=Role.UNDO if undo else Role.EFFECT,
        key=f"key of {step}",
        step=step,
        compensation=None if undo else "t.cancel",
        attempt=1,
        pid=pid,
        input=None,
        began=began,
        entered=began + 1,
        ended=began + 2,
        outcome="done",
    )
    return replace(made, **changes)


def entry(id_: str, state: str, *depends_on: str) -> dict[str, Any]:
    return {"id": id_, "state": state, "depends_on": list(depends_on)}


def run(state: str, *visits: Visit, hall: str = "", music: str = "", **changes: Any) -> Trial:
    usual = "settled" if state == "completed" else "undone"
    ledger = [entry("hall#1", hall or usual), entry("music#1", music or usual, "hall#1")]
    board = {"state": state, "ledger": ledger}
    return Trial(
        **{"run": "r", "fault": None, "state": state, "board": board, "visits": list(visits), **changes}
    )


HALL, MUSIC = visit("hall#1", 10), visit("music#1", 20)
UNDO_MUSIC, UNDO_HALL = visit("music/undo#1", 30), visit("hall/undo#1", 40)
UNDONE = (HALL, MUSIC, UNDO_MUSIC, UNDO_HALL)


def found(trial: Trial, **options: Any) -> list[str]:
    return [str(violation.invariant) for violation in check_trial(trial, SPEC, **options)]


def broken(point: str, kind: FaultKind) -> dict[str, Any]:
    return {"fault": PlannedFault(point, kind)}


@pytest.mark.parametrize(
    "trial",
    [
        run("completed", HALL, MUSIC),
        run("rolled_back", *UNDONE),
        run("cancelled", *UNDONE),
        # The worker was killed after the effect: the undo runs again, as a later attempt.
        run(
            "rolled_back",
            *(HALL, MUSIC),
            replace(UNDO_MUSIC, pid=KILLED, faulty=True),
            replace(visit("music/undo#1", 34), attempt=2),
            UNDO_HALL,
            **broken("music/undo#1", FaultKind.KILL_AFTER),
        ),
        # Nothing happened, certainly: no undo is needed.
        run("rolled_back", HALL, replace(MUSIC, outcome="refused"), UNDO_HALL, music="void"),
        # The call never came to its effect; what is undone all the same is undone.
        run(
            "rolled_back",
            HALL,
            replace(MUSIC, entered=None, ended=None, outcome=None, faulty=True),
            *(UNDO_MUSIC, UNDO_HALL),
            **broken("music#1", FaultKind.FAIL_BEFORE),
        ),
        # An undo was broken for ever, and somebody has said that it was done by hand.
        run(
            "rolled_back",
            *(HALL, MUSIC, UNDO_HALL),
            replace(UNDO_MUSIC, entered=None, ended=None, outcome=None, faulty=True),
            by_hand=frozenset({"music#1"}),
            **broken("music/undo#1", FaultKind.FAIL_EVER),
        ),
    ],
)
def test_what_is_right_is_not_held_against_a_run(trial: Trial) -> None:
    assert check_trial(trial, SPEC) == []


@pytest.mark.parametrize(
    ("trial", "violations"),
    [
        (run("running"), ["stuck"]),
        (run("rolled_back", board={}), ["stuck"]),
        (run("compensating", *UNDONE), ["stuck"]),
        (run("rolled_back", HALL, MUSIC, UNDO_HALL), ["disagreement", "orphaned effect"]),
        (run("rolled_back", HALL, MUSIC, UNDO_HALL, music="settled"), ["orphaned effect"]),
        (run("rolled_back", *UNDONE, music="settled"), ["disagreement"]),
        (run("rolled_back", HALL, MUSIC, UNDO_HALL, music="void"), ["disagreement", "orphaned effect"]),
        (run("completed", HALL, MUSIC, music="armed"), ["disagreement"]),
        (run("completed", HALL, MUSIC, UNDO_MUSIC, music="undone"), ["lost effect"]),
        (run("rolled_back", *UNDONE, visit("music/undo#1", 50)), ["double undo", "order violation"]),
        (
            run("rolled_back", HALL, MUSIC, visit("hall/undo#1", 30), visit("music/undo#1", 40)),
            ["order violation"],
        ),
        (run("rolled_back", HALL, replace(MUSIC, ended=35), UNDO_MUSIC, UNDO_HALL), ["early undo"]),
        (run("rolled_back", *UNDONE, replace(visit("music#1", 50), attempt=2)), ["early undo"]),
        (
            run("rolled_back", *UNDONE, by_hand=frozenset({"music#1"})),
            ["stuck"],
        ),
        (run("rollback_incomplete", HALL, MUSIC, hall="settled", music="stuck"), ["orphaned effect"] * 2),
        (
            run("completed", replace(HALL, faulty=True), MUSIC, **broken("hall#1", FaultKind.CANCEL)),
            ["swallowed cancel"],
        ),
        (
            run("completed", replace(HALL, faulty=True), MUSIC, **broken("hall#1", FaultKind.FAIL_AFTER)),
            ["orphaned effect"],
        ),
    ],
)
def test_what_is_wrong_is_named(trial: Trial, violations: list[str]) -> None:
    assert found(trial) == violations


def test_a_call_that_the_board_does_not_know_is_named() -> None:
    trial = run("completed", HALL, MUSIC, visit("cake#1", 25))
    assert found(trial) == ["disagreement"]


def test_a_step_that_was_skipped_is_undone_before_what_came_after_it_began() -> None:
    failed = replace(HALL, outcome="failed")
    trial = run(
        "rolled_back", failed, visit("hall/undo#1", 14), visit("music#1", 20), visit("music/undo#1", 30)
    )
    assert check_trial(trial, SKIPS) == []
    completed = run("completed", failed, visit("hall/undo#1", 14), MUSIC, hall="undone")
    assert check_trial(completed, SKIPS) == []


def test_a_step_that_runs_again_began_when_its_own_round_did() -> None:
    def of(round_: int, began: int, point: str) -> Visit:
        made = visit(f"{point}#{round_}", began)
        return replace(made, key=f"{made.key} {round_}")

    def asks(round_: int, began: int) -> Visit:
        return replace(of(round_, began, "music/model.1"), role=Role.READ, compensation=None)

    first = (of(1, 10, "hall"), asks(1, 14), of(1, 18, "music/undo"), of(1, 22, "hall/undo"))
    second = (of(2, 26, "hall"), asks(2, 30), of(2, 34, "music/undo"), of(2, 38, "hall/undo"))
    trial = run("rolled_back", *first, *second)
    ledger = [
        entry("hall#1", "undone"),
        entry("music#1", "undone", "hall#1"),
        entry("hall#2", "undone"),
        entry("music#2", "undone", "hall#1", "hall#2"),
    ]
    trial = replace(trial, board={**trial.board, "ledger": ledger})
    assert found(trial) == []
    wrong = (*second[:2], of(2, 34, "hall/undo"), of(2, 38, "music/undo"))
    assert "order violation" in found(replace(trial, visits=[*first, *wrong]))


# --- teams, which give up some of what they have done


def played(state: str, of_music: str, *visits: Visit, **changes: Any) -> Trial:
    """A run in which a team has asked two members."""
    made = run(state, *visits, **changes)
    moves = [
        {"operation": "spawn", "call": "hall", "state": "answered"},
        {"operation": "spawn", "call": "music", "state": of_music},
        {"operation": "stop"},
    ]
    return replace(made, board={**made.board, "moves": moves})


@pytest.mark.parametrize("state", ["undone", "failed"])
def test_what_a_team_has_given_up_is_undone_and_the_rest_is_not(state: str) -> None:
    assert found(played("completed", state, HALL, MUSIC, UNDO_MUSIC, music="undone")) == []
    assert found(played("completed", state, HALL, MUSIC)) == ["orphaned effect"]
    assert found(played("completed", "answered", HALL, MUSIC, UNDO_MUSIC, music="undone")) == ["lost effect"]
    inner = visit("music/tool.1#1", 20)
    kept = run("completed", HALL, inner).board["ledger"][:1]
    board = {"ledger": [*kept, entry("music/tool.1#1", "settled")]}
    trial = played("completed", state, HALL, inner)
    assert found(replace(trial, board={**trial.board, **board})) == ["orphaned effect"]


def test_what_is_only_read_may_end_after_the_undo_of_whoever_reads() -> None:
    late = replace(MUSIC, ended=35, role=Role.READ)
    assert found(run("rolled_back", HALL, late, UNDO_MUSIC, UNDO_HALL)) == []


# --- the user's world

KEYS = frozenset({"hall#1", "music#1"})


@pytest.mark.parametrize(
    ("state", "before", "after", "violations"),
    [
        ("rolled_back", [], [], []),
        ("rolled_back", ["a table"], ["a table"], []),
        ("rolled_back", [], ["key of hall"], ["orphaned effect"]),
        ("rolled_back", ["9 left"], ["10 left"], ["orphaned effect", "double undo"]),
        ("completed", [], ["key of hall", "key of music"], []),
        ("completed", [], ["key of hall"], ["lost effect"]),
        ("completed", [], ["key of hall", "key of music", "key of music"], ["repeated effect"]),
    ],
)
def test_the_world_is_asked(state: str, before: list[str], after: list[str], violations: list[str]) -> None:
    visits = UNDONE if state == "rolled_back" else (HALL, MUSIC)
    trial = run(state, *visits, before=Counter(before), after=Counter(after), asked=True)
    assert found(trial, told=KEYS) == violations


def test_only_keys_that_a_clean_run_has_told_can_be_missed() -> None:
    clean = run("completed", HALL, MUSIC, after=Counter(["key of hall", "7 guests"]), asked=True)
    assert keys_told(clean) == {"hall#1"}
    assert found(clean, told=keys_told(clean)) == []


# --- the order, from the graph alone


def test_the_graph_tells_which_undo_waits_for_which() -> None:
    inner = [{"id": "a", "tool": "t.x"}, {"id": "b", "tool": "t.x", "input": {"x": "${{ steps.a.output }}"}}]
    spec = parse_spec(
        {
            "name": "nested",
            "steps": [
                {"id": "first", "agent": "t.agent"},
                {"id": "each", "needs": ["first"], "for_each": "[1, 2]", "group": {"steps": inner}},
                {"id": "beside", "tool": "t.x"},
                {"id": "last", "tool": "t.x", "needs": ["each"]},
            ],
        }
    )
    calls = ["first#1", "first/tool.1#1", "each[0]/a#1", "each[0]/b#1", "each[1]/a#1", "beside#1", "last#1"]
    pairs = {(one, other) for one in calls for other in calls if must_wait(spec, one, other)}
    of_first = {(one, other) for one in calls[:2] for other in (*calls[2:5], "last#1")}
    of_each = {(one, "last#1") for one in calls[2:5]}
    assert pairs == of_first | of_each | {("each[0]/a#1", "each[0]/b#1")}
    assert not must_wait(spec, "first#1", "last#2")
