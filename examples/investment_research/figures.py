"""How the house scores a company: whole numbers from 0 to 100, computed from rows. No database, no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

WEIGHTS: Final = {"financials": 40, "sentiment": 15, "competition": 20, "regulation": 15, "macro": 10}
"""What each aspect counts, in percent."""

BUY_FROM: Final = 60
SELL_BELOW: Final = 40


class Assessment(BaseModel):
    """What one specialist says of a company: a score from 0 to 100, and why."""

    model_config = ConfigDict(frozen=True)

    score: int
    finding: str


class Filing(BaseModel):
    """One year of a company, in millions."""

    model_config = ConfigDict(frozen=True)

    year: int
    revenue: int
    operating_income: int
    debt: int
    equity: int


class Economy(BaseModel):
    """A country's growth, inflation and interest rate, in hundredths of a percent."""

    model_config = ConfigDict(frozen=True)

    country: str
    growth: int
    inflation: int
    rate: int


def financials(filings: Sequence[Filing]) -> Assessment:
    """Scores growth, margin and debt, from two or more filings in the order of their years."""
    first, last = filings[0], filings[-1]
    growth = (last.revenue - first.revenue) * 100 // first.revenue
    margin = last.operating_income * 100 // last.revenue
    leverage = last.debt * 100 // last.equity
    return Assessment(
        score=_bounded(30 + growth + 2 * margin - leverage // 8),
        finding=f"Revenue {growth:+} % from {first.year} to {last.year}, operating margin {margin} %, "
        f"debt at {leverage} % of equity.",
    )


def sentiment(tones: Sequence[int]) -> Assessment:
    """Scores the mean tone of the headlines."""
    mean = sum(tones) * 25 // len(tones)
    return Assessment(
        score=_bounded(50 + mean), finding=f"{len(tones)} headlines, the sum of their tones is {sum(tones)}."
    )


def competition(now: tuple[int, int], before: tuple[int, int]) -> Assessment:
    """Scores a company's part of its sector, and how that has changed.

    Args:
        now: The company's revenue and that of the sector, in the last year.
        before: The same in the year before.
    """
    share, earlier = (own * 1000 // whole for own, whole in (now, before))
    return Assessment(
        score=_bounded(40 + share // 10 + (share - earlier) // 2),
        finding=f"{share / 10:.1f} % of its sector's revenue, {earlier / 10:.1f} % the year before.",
    )


def regulation(weights: Sequence[int]) -> Assessment:
    """Scores the cases that are open, by their weights."""
    return Assessment(
        score=_bounded(90 - 12 * sum(weights)),
        finding=f"{len(weights)} open cases, together of weight {sum(weights)}.",
    )


def macro(economy: Economy) -> Assessment:
    """Scores the country that a company works in."""
    score = 50 + economy.growth // 10 - economy.inflation // 40 - economy.rate // 40
    return Assessment(
        score=_bounded(score),
        finding=f"{economy.country}: growth {economy.growth / 100:.1f} %, "
        f"inflation {economy.inflation / 100:.1f} %, "
        f"interest {economy.rate / 100:.1f} %.",
    )


def overall(scores: Mapping[str, int]) -> int:
    """Weighs the five scores."""
    return sum(WEIGHTS[aspect] * scores[aspect] for aspect in WEIGHTS) // 100


def rating(score: int) -> str:
    """Returns what the house recommends at an overall score."""
    if score >= BUY_FROM:
        return "buy"
    return "sell" if score < SELL_BELOW else "hold"


def _bounded(score: int) -> int:
    return max(0, min(100, score))
