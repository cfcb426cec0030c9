"""Idempotency keys: what they are for ever, and that no two calls share one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.ledger.idempotency import idempotency_key

CALLS = st.tuples(st.text(max_size=12), st.text(max_size=12), st.integers(1, 10**6))


@pytest.mark.parametrize(
    ("root", "path", "round_", "key"),
    [
        ("5f9d3c1e-0c5e-4b52-9a53-2f6d0a7b8c11", "reserve", 1, "83370bbd3a44a69231a0252e09a8833a"),
        ("5f9d3c1e-0c5e-4b52-9a53-2f6d0a7b8c11", "reserve", 2, "96710d968017a9786df583bdbc8302e1"),
        ("5f9d3c1e-0c5e-4b52-9a53-2f6d0a7b8c11", "book[2]/tool.1", 1, "580a89df687ff6622e07db9fe5446ce7"),
        ("", "été", 1, "9e6a7eef1261242146f42ab7f34f348f"),
    ],
)
def test_keys_are_the_same_for_ever(root: str, path: str, round_: int, key: str) -> None:
    """A key in a user's database outlives every version of this code: these never change."""
    assert idempotency_key(root, path, round_) == key


@given(CALLS)
def test_a_key_is_short_plain_text(call: tuple[str, str, int]) -> None:
    key = idempotency_key(*call)
    assert re.fullmatch("[0-9a-f]{32}", key)
    assert idempotency_key(*call) == key


@given(CALLS, CALLS)
def test_different_calls_have_different_keys(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    assert (idempotency_key(*one) == idempotency_key(*other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b\nc", 1), ("a\nb", "c", 1)),
        (("a", "b\n1", 1), ("a", "b", 11)),
        (("a", "book[1]", 1), ("a", "book[11]", 1)),
        (("a", "book[1]", 2), ("a", "book[2]", 1)),
        (("a", "", 1), ("", "a", 1)),
        (('a", "b', "c", 1), ("a", 'b", "c', 1)),
    ],
)
def test_parts_do_not_run_together(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    assert idempotency_key(*one) != idempotency_key(*other)
