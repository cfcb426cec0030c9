"""Money is shown as money where the name of its field says the unit, and never as another amount."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep.inbox.money import as_money


@pytest.mark.parametrize(
    ("name", "value", "beside", "shown"),
    [
        ("usd", 12.5, {}, "12.50 USD"),
        ("totalEur", -3, {}, "-3.00 EUR"),
        ("price_usd", 0.0005, {}, "0.0005 USD"),
        ("usd", 1234567.891, {}, "1,234,567.891 USD"),
        ("cents", 6000, {}, "60.00"),
        ("usd_cents", 5, {}, "0.05 USD"),
        ("cents", 12950, {"currency": "eur"}, "129.50 EUR"),
        ("cents", 12950, {"currency": "<b>"}, "129.50"),
        ("amount", 1234567, {"currency": "usd"}, "1,234,567"),
    ],
)
def test_what_a_name_says(name: str, value: Any, beside: dict[str, Any], shown: str) -> None:
    assert as_money(name, value, beside) == shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("amount", 6),
        ("count", 6000),
        ("accents", 6000),
        ("usd", True),
        ("usd", "12"),
        ("usd", float("nan")),
        ("usd", float("inf")),
        ("usd", 10**30),
        ("", 5),
    ],
)
def test_what_is_left_as_it_is(name: str, value: Any) -> None:
    assert as_money(name, value, {}) is None
