"""What has ended since a reset is told apart from what the kept part of the history holds."""

from __future__ import annotations

from counterstep.saga.record.resets import Resets


def test_what_ends_after_the_turn_of_a_reset_was_made_again() -> None:
    length = 5
    resets = Resets(lambda: length)
    resets.note_end("before")
    length = 9
    resets.add()
    resets.note_end("kept")
    length = 12
    resets.note_end("again")
    assert [resets.has_ended_since(name, 1) for name in ("before", "kept", "again")] == [False, False, True]


def test_a_second_reset_counts_from_anew() -> None:
    length = 5
    resets = Resets(lambda: length)
    resets.add()
    length = 9
    resets.note_end("between")
    resets.add()
    length = 12
    resets.note_end("last")
    assert resets.has_ended_since("between", 1)
    assert not resets.has_ended_since("between", 2)
    assert resets.has_ended_since("last", 2)
