"""The audit of ``make soak`` finds each kind of violation when it is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.audit import CALL_MODEL, RULES, Called, Job, Request, Story, audit
from benchmarks.shelf import TASKS, Moment, Row

CLERICAL = "shelf.clerical"


def call(what: str, **changes: float) -> Called:
    return replace(Called(f"{what}#1", "shelf.put", what, False, attempt=1, answered=10.0), **changes)  # type: ignore[arg-type]


def undo(what: str) -> Called:
    return Called(f"{what}/undo#1", "shelf.take_back", what, True, attempt=1, answered=20.0)


def begin(what: str, attempt: int = 1, at: float = 5.0) -> Moment:
    return Moment("begin", "t", what, what, attempt, at)


def undoing(what: str, attempt: int = 1, at: float = 15.0) -> Moment:
    return Moment("undo", "t", what, what, attempt, at)


def rows(*whats: str) -> list[Row]:
    return [Row("t", what, what) for what in whats]


MODEL = Called("m/model.1#1", CALL_MODEL, "k", False, attempt=2, answered=10.0)
ALL = sorted(TASKS[CLERICAL])
CASES: dict[str, tuple[str, list[Called], list[Row], list[Moment], list[Request], str]] = {
    "nothing": ("completed", [call("a")], rows(*ALL), [begin("a")], [], ""),
    "a call cut short": (
        "completed", [call("a", attempt=2)], rows(*ALL), [begin("a", 1), begin("a", 2)], [], ""
    ),
    "a call cut short by a worker that lives": (
        "completed", [call("a", attempt=2)], rows(*ALL), [begin("a", 1), begin("a", 2, 11.0)], [],
        "repeated calls",
    ),
    "a call too many": (
        "completed", [call("a")], rows(*ALL), [begin("a"), begin("a", 2)], [], "repeated calls"
    ),
    "an attempt twice": (
        "completed", [call("a", attempt=2)], rows(*ALL), [begin("a", 2), begin("a", 2)], [], "repeated calls"
    ),
    "a call that never ran": ("completed", [call("a")], rows(*ALL), [], [], "repeated calls"),
    "a key twice": ("completed", [call("a"), call("a")], rows(*ALL), [begin("a")], [], "repeated calls"),
    "undone": ("rolled back", [call("a"), undo("a")], [], [begin("a"), undoing("a")], [], ""),
    "an undo twice": (
        "rolled back", [call("a"), undo("a"), undo("a")], [], [begin("a"), undoing("a")], [], "double undos"
    ),
    "an undo after its end": (
        "rolled back", [call("a"), undo("a")], [], [begin("a"), undoing("a", 1), undoing("a", 2, 21.0)], [],
        "double undos",
    ),
    "an orphan": ("rolled back", [call("a")], rows("a"), [begin("a")], [], "orphaned effects"),
    "an orphan of a child": (
        "rolled back", [call("a")], [Row("t/child#1", "a", "a")], [begin("a")], [], "orphaned effects"
    ),
    "an effect twice": ("completed", [call("a")], rows(*ALL, "a"), [begin("a")], [], "orphaned effects"),
    "an effect that is missing": ("completed", [call("a")], rows("a"), [begin("a")], [], "missing effects"),
    "lost": ("lost", [], [], [], [], "tasks lost"),
    "stuck": ("running", [call("a")], rows("a"), [begin("a")], [], "tasks stuck"),
    "another end": ("terminated", [], [], [], [], "tasks with a wrong end"),
    "a model call cut short": (
        "completed", [MODEL], rows(*ALL), [], [Request("t", 1, 5.0), Request("t", 1, 6.0)], ""
    ),
    "a model call too many": (
        "completed", [MODEL], rows(*ALL), [], [Request("t", 1, 5.0)] * 3, "repeated model calls"
    ),
    "a model call after its answer": (
        "completed", [MODEL], rows(*ALL), [], [Request("t", 1, 5.0), Request("t", 1, 11.0)],
        "repeated model calls",
    ),
    "a turn that history does not know": (
        "completed", [MODEL], rows(*ALL), [], [Request("t", 1, 5.0), Request("t", 2, 6.0)],
        "repeated model calls",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_violation_is_found_and_nothing_else(case: str) -> None:
    end, calls, standing, moments, requests, rule = CASES[case]
    fate = "complete" if end == "completed" else "fail"
    found = audit([Job("t", CLERICAL, fate, end, [Story(calls)])], standing, moments, requests)
    assert list(found) == list(RULES)
    assert [name for name, lines in found.items() if lines] == ([rule] if rule else [])


def test_nondeterminism_is_found() -> None:
    story = Story(failed=["NON_DETERMINISTIC_ERROR"])
    found = audit([Job("t", CLERICAL, "fail", "rolled back", [story])], [], [], [])
    assert len(found["nondeterminism"]) == 1
