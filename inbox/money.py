"""Shows money as money, where the name of a field says which unit it has.

The rule is small on purpose, and never guesses: what is shown must not be another amount than what is paid.

- A name whose last word is a currency (`usd`, `price_usd`, `totalEur`) holds whole units: ``1,234.50 USD``.
- A name whose last word is `cents` holds hundredths. The currency is the word before (`usd_cents`), or the
  text in a field `currency` beside it, or is not said.
- Other names of amounts (`amount`, `price`, `total`, ...) do not tell their unit: digits are only grouped.

The exact value is shown beside it in any case. Nothing is rounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

_CURRENCIES: Final = frozenset(["usd", "eur", "gbp", "chf", "jpy", "cny", "inr", "cad", "aud"])
_AMOUNTS: Final = frozenset(
    ["amount", "price", "total", "cost", "fee", "budget", "balance", "refund", "payment", "sum"]
)
_CENTS: Final = "cents"
_CODE: Final = re.compile(r"[A-Za-z]{3}")
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_LARGEST: Final = Decimal(10) ** 15
"""A larger number is shown as it is."""


def as_money(name: str, value: Any, beside: Mapping[str, Any]) -> str | None:
    """Writes a number for people, if the name of its field says that it is an amount of money.

    Args:
        name: The name of the field.
        value: Its value.
        beside: The fields beside it.

    Returns:
        The amount; None where it is not money, or its text would be the plain value.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    words = [word.lower() for word in _WORD.findall(name)]
    number = Decimal(str(value))
    if not words or not number.is_finite() or abs(number) > _LARGEST:
        return None
    last = words[-1]
    if last in _CURRENCIES:
        return _units(number, last)
    if last == _CENTS:
        before = words[-2] if len(words) > 1 else ""
        return _units(number / 100, before if before in _CURRENCIES else _said(beside))
    if last in _AMOUNTS:
        grouped = f"{number:,f}"
        return grouped if grouped != str(value) else None
    return None


def _units(number: Decimal, currency: str) -> str:
    exponent = number.normalize().as_tuple().exponent
    places = max(2, -exponent if isinstance(exponent, int) else 0)
    return f"{number:,.{places}f} {currency.upper()}".rstrip()


def _said(beside: Mapping[str, Any]) -> str:
    currency = beside.get("currency")
    return currency if isinstance(currency, str) and _CODE.fullmatch(currency) else ""
