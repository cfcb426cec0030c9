"""What somebody types after an interrupt: whole words, and nothing is guessed where effects are undone."""

from __future__ import annotations

import pytest

from counterstep.cli.terminal.signals import understood


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("c\n", "cancel"),
        ("Cancel\n", "cancel"),
        ("cancel  and undo\n", "cancel"),
        ("l\n", "leave"),
        ("LEAVE it running.\n", "leave"),
        ("g\n", "go on"),
        ("go on\n", "go on"),
        ("continue\n", "go on"),
        ("\n", "go on"),
        ("", "go on"),
        ("con\n", None),
        ("clear\n", None),
        ("what?\n", None),
        ("no\n", None),
    ],
)
def test_an_answer_is_a_whole_word(line: str, answer: str | None) -> None:
    assert understood(line) == answer
