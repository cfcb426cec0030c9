"""A market that does not exist: fifty companies and their figures, computed from a seed.

Names, figures and events are made up, and stand for nothing real. A seed gives the same market
everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Final

SEED: Final = 20260331
COMPANIES: Final = 50
YEARS: Final = (2023, 2024, 2025)
SECTORS: Final = ("energy", "software", "health", "transport", "retail")
COUNTRIES: Final = ("Aldoria", "Brevania", "Calvoy", "Dorsenia")
WITHOUT_FILINGS: Final = (2, 31)
"""The places of the companies that have not filed anything for the last year."""

_FIRST = ("Ka", "Lo", "Mi", "Ne", "Pa", "Ri", "So", "Ta", "Vo", "Zu")
_LAST = ("bron", "delk", "fint", "garv", "lumm")
_HEADLINES = {
    -2: "warns of a loss",
    -1: "delays a product",
    0: "holds its general meeting",
    1: "wins a large customer",
    2: "doubles its orders",
}


def companies() -> list[dict[str, Any]]:
    """Returns all companies, in the order of their tickers' places."""
    names = [f"{first}{last}" for last in _LAST for first in _FIRST]
    return [
        {
            "ticker": name[:4].upper(),
            "name": f"{name} (fictional)",
            "sector": SECTORS[place % len(SECTORS)],
            "country": COUNTRIES[place % len(COUNTRIES)],
        }
        for place, name in enumerate(names[:COMPANIES])
    ]


def filings() -> Iterator[dict[str, Any]]:
    """Yields what the companies have filed, a row a year, in millions."""
    for place, company in enumerate(companies()):
        chance = _chance("filings", company)
        revenue = chance.randint(200, 2000)
        for year in YEARS:
            revenue = revenue * chance.randint(92, 122) // 100
            equity = revenue * chance.randint(30, 90) // 100
            row = {
                "ticker": company["ticker"],
                "year": year,
                "revenue": revenue,
                "operating_income": revenue * chance.randint(-3, 28) // 100,
                "debt": equity * chance.randint(10, 180) // 100,
                "equity": equity,
            }
            if place not in WITHOUT_FILINGS or year < YEARS[-1]:
                yield row


def headlines() -> Iterator[dict[str, Any]]:
    """Yields what was written of the companies, with its tone from -2 to 2."""
    for company in companies():
        chance = _chance("headlines", company)
        for day in range(1, chance.randint(4, 9)):
            tone = chance.choice(sorted(_HEADLINES))
            said = f"{company['name']} {_HEADLINES[tone]}"
            yield {"ticker": company["ticker"], "day": f"2026-03-{day:02}", "tone": tone, "said": said}


def cases() -> Iterator[dict[str, Any]]:
    """Yields the cases that regulators have against the companies, with their weight from 1 to 3."""
    for company in companies():
        chance = _chance("cases", company)
        for number in range(chance.randint(0, 3)):
            yield {"ticker": company["ticker"], "number": number, "weight": chance.randint(1, 3)}


def economies() -> Iterator[dict[str, Any]]:
    """Yields growth, inflation and interest rate of the countries, in hundredths of a percent."""
    for country in COUNTRIES:
        chance = Random(f"{SEED}/economy/{country}")
        yield {
            "country": country,
            "growth": chance.randint(-80, 420),
            "inflation": chance.randint(50, 700),
            "rate": chance.randint(25, 600),
        }


def _chance(what: str, company: dict[str, Any]) -> Random:
    return Random(f"{SEED}/{what}/{company['ticker']}")
