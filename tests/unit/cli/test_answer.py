"""What is typed at the prompt is an answer only if it is one of those that are offered."""

from __future__ import annotations

import pytest

from counterstep.cli.terminal.answer import chosen

ACTIONS = ("retry", "skip", "go_on", "2")


@pytest.mark.parametrize(
    ("typed", "action"),
    [
        ("1", "retry"),
        ("2", "skip"),
        ("Skip.", "skip"),
        ("go_on", "go_on"),
        ("0", None),
        ("5", None),
        ("-1", None),
        ("²", None),
        ("re", None),
        ("retry it", None),
        ("yes", None),
    ],
)
def test_an_answer_is_a_number_or_a_whole_word(typed: str, action: str | None) -> None:
    assert chosen(ACTIONS, typed) == action
