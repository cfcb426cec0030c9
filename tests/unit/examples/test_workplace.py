"""Items of the examples: a row and its file come and go together, in whichever order call and undo land."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData

from counterstep import NotApplied
from examples.workplace import Call, Workplace, items_table, own_file

CALL = Call("0123456789abcdef", "task", "step")
FILE = own_file("reports", "acme", CALL, "md")


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path / "place", items_table("items", MetaData()), lambda _: None)


def make(workplace: Workplace, content: str = "text", check: Callable[[Connection], object] = bool) -> None:
    workplace.keep(CALL, "report", "acme", file=FILE, content=content, check=check)


def test_a_call_has_one_row_and_one_file_and_the_first_one_counts(workplace: Workplace) -> None:
    make(workplace)
    make(workplace, "another")
    assert [item.file for item in workplace.items("task")] == [FILE]
    assert workplace.read(FILE) == "text"


def test_an_undo_takes_row_and_file_and_comes_twice(workplace: Workplace) -> None:
    make(workplace)
    workplace.withdraw(CALL, "report")
    workplace.withdraw(CALL, "report")
    assert (workplace.items(), workplace.files()) == ([], [])
    assert [row.state for row in workplace.ask("SELECT state FROM items")] == ["withdrawn"]


def test_a_call_after_its_undo_is_refused(workplace: Workplace) -> None:
    workplace.withdraw(CALL, "report")
    with pytest.raises(NotApplied):
        make(workplace)
    assert (workplace.items(), workplace.files()) == ([], [])


def test_an_undo_deletes_the_file_whose_row_was_lost(workplace: Workplace) -> None:
    workplace.write(FILE, "the worker died before it could commit")
    workplace.write("reports/acme-fedcba987654.md", "of another call")
    workplace.withdraw(CALL, "report")
    assert workplace.files() == ["reports/acme-fedcba987654.md"]


def test_what_must_not_be_made_leaves_neither_row_nor_file(workplace: Workplace) -> None:
    def refuse(_: Connection) -> None:
        raise NotApplied("it is taken")

    with pytest.raises(NotApplied, match="it is taken"):
        make(workplace, check=refuse)
    assert (workplace.items(), workplace.files()) == ([], [])
    make(workplace)
    assert workplace.files() == [FILE]


def test_nothing_outside_of_the_folder_is_read(workplace: Workplace, tmp_path: Path) -> None:
    make(workplace)
    (tmp_path / "secret.md").write_text("secret")
    assert workplace.read("../secret.md") is None
