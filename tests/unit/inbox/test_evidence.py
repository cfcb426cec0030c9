"""What a form gives back is what was shown, unless somebody has changed it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.inbox.evidence import fields_of, read_field, rows_of
from counterstep.inbox.visible_text import visible

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def sent_by_a_browser(text: str) -> str:
    """What a form sends of a text: line ends as browsers write them."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")


@given(JSON)
def test_a_form_that_nobody_has_changed_gives_back_what_was_shown(value: Any) -> None:
    fields = fields_of(value)
    read = {field.name: read_field(field, sent_by_a_browser(field.text)) for field in fields}
    again = read.get("", read)
    assert again == value
    assert repr(again) == repr(value), "no number has become one of another kind"


@pytest.mark.parametrize(
    ("value", "text", "why"),
    [
        (1, "a lot", "“cents” has to be a number."),
        (1, "true", "“cents” has to be a number."),
        (1, "NaN", "“cents” has to be a number."),
        (True, "1", "“cents” has to be true or false."),
        ([1], "[1", "“cents” has to be JSON."),
    ],
)
def test_what_cannot_be_read_is_told(value: Any, text: str, why: str) -> None:
    (field,) = fields_of({"cents": value})
    with pytest.raises(ValueError) as caught:
        read_field(field, text)
    assert str(caught.value) == why


def test_what_cannot_be_seen_is_made_visible() -> None:
    assert visible("pay \u202e0001\u202c\x00\u200b") == "pay [U+202E]0001[U+202C][U+0000][U+200B]"
    assert visible("línea\n\t👩\u200d🚀 ש") == "línea\n\t👩\u200d🚀 ש"
    (row,) = rows_of({"to\u202e": "\u202ex"})
    assert (row.name, row.text) == ("to[U+202E]", "[U+202E]x")


def test_tables_are_bounded_and_exact_values_stay() -> None:
    deep: Any = {"x": 1}
    for _ in range(50):
        deep = {"in": deep}
    rows = rows_of(deep)
    for _ in range(4):
        rows = rows[0].rows
    assert rows[0].is_code and '"x": 1' in rows[0].text
    (row,) = rows_of({"cents": 12950})
    assert (row.money, row.text) == ("129.50", "12950")
