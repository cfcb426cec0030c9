"""The undos in the table that `status` and `watch` show."""

from __future__ import annotations

import pytest

from counterstep.cli.terminal.live_board import print_board
from counterstep.cli.terminal.undo_rows import MOST_TO_COME, TO_COME, undo_rows


def entry(id_: str, state: str, **also: object) -> dict[str, object]:
    kept = {"id": id_, "step": id_.partition("[")[0], "state": state, "compensation": "desk.take_back"}
    return {**kept, "attempts": 0, "error": None, **also}


LEDGER = [
    entry("a#1", "settled"),
    entry("invite[0]#1", "undoing", attempts=1, started="2026-01-01T12:00:05+00:00", tries=3, error="busy"),
    entry(
        "invite[1]#1",
        "stuck",
        attempts=2,
        started="2026-01-01T12:00:04+00:00",
        finished="2026-01-01T12:00:06.500000+00:00",
        error="gone",
    ),
    entry("b#2", "settled"),
    entry("voided#1", "void"),
]


def test_undos_have_times_attempts_errors_and_what_is_to_come() -> None:
    stuck, undoing, *to_come = undo_rows({"ledger": LEDGER, "to_undo": ["b#2", "a#1"]})
    begun = "2026-01-01 12:00:04"
    assert stuck == ("invite[1]", "stuck", "desk.take_back", begun, "2.5s", "2", "gone")
    assert (undoing[0], undoing[1], undoing[5], undoing[6]) == ("invite[0]", "undoing", "3", "busy")
    assert float(undoing[4].removesuffix("s")) > 60, "it still runs"
    assert [row[:3] for row in to_come] == [
        ("b#2", TO_COME, "desk.take_back"), ("a", TO_COME, "desk.take_back"),
    ]  # fmt: skip


def test_what_is_to_come_is_shown_only_while_something_is_undone() -> None:
    assert undo_rows({"ledger": [entry("a#1", "settled")], "to_undo": []}) == []
    assert undo_rows({"ledger": [entry("a#1", "settled")]}) == [], "a worker that does not tell it"


def test_of_much_to_come_some_is_shown() -> None:
    ledger = [entry(f"a[{at}]#1", "settled") for at in range(MOST_TO_COME + 5)]
    rows = undo_rows({"ledger": ledger, "to_undo": [one["id"] for one in ledger]})
    assert (len(rows), rows[-1][0]) == (MOST_TO_COME + 1, "5 more")


def test_the_table_shows_them(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    board = {"task": "t", "state": "compensating", "steps": {}, "ledger": LEDGER, "to_undo": ["b#2", "a#1"]}
    print_board(board)
    rows = [line.split() for line in capsys.readouterr().err.splitlines() if "desk.take_back" in line]
    assert rows[0] == [
        "✘",
        "invite[1]",
        "stuck",
        "desk.take_back",
        "2026-01-01",
        "12:00:04",
        "2.5s",
        "2",
        "gone",
    ]
    assert [row[:4] for row in rows[2:]] == [["·", "b#2", "to", "come"], ["·", "a", "to", "come"]]
