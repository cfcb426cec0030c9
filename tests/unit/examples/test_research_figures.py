"""The market and the figures of `investment_research`: the same everywhere, and computed as they say."""

from __future__ import annotations

import hashlib
import json

from examples.investment_research import figures, market
from examples.investment_research.figures import Assessment, Economy, Filing


def test_the_seed_gives_the_same_market_everywhere() -> None:
    rows = [
        market.companies(),
        list(market.filings()),
        list(market.headlines()),
        list(market.cases()),
        list(market.economies()),
    ]
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:12] == "26ed5eecedcc"
    tickers = {company["ticker"] for company in market.companies()}
    assert len(tickers) == market.COMPANIES
    filed = {row["ticker"] for row in market.filings() if row["year"] == market.YEARS[-1]}
    assert tickers - filed == {market.companies()[place]["ticker"] for place in market.WITHOUT_FILINGS}


def test_scores_are_computed_as_the_findings_say() -> None:
    filings = [
        Filing(year=2023, revenue=200, operating_income=10, debt=50, equity=100),
        Filing(year=2025, revenue=220, operating_income=22, debt=80, equity=100),
    ]
    assert figures.financials(filings) == Assessment(
        score=30 + 10 + 20 - 10,
        finding="Revenue +10 % from 2023 to 2025, operating margin 10 %, debt at 80 % of equity.",
    )
    assert figures.sentiment([2, -1, 1]).score == 50 + 16
    assert figures.competition((30, 100), (20, 100)).score == 100  # 120, and no score is more than that
    assert figures.regulation([3, 2]).score == 90 - 60
    assert figures.regulation([3, 3, 3]).score == 0
    economy = Economy(country="Aldoria", growth=200, inflation=200, rate=100)
    assert figures.macro(economy).score == 50 + 20 - 5 - 2


def test_the_rating_follows_from_the_weights() -> None:
    assert sum(figures.WEIGHTS.values()) == 100
    scores = dict.fromkeys(figures.WEIGHTS, 50)
    assert figures.overall(scores) == 50
    assert figures.overall({**scores, "financials": 100}) == 70
    assert [figures.rating(score) for score in (39, 40, 59, 60)] == ["sell", "hold", "hold", "buy"]
