"""The research database: what is known of the companies, and what tasks have made of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, func, insert, select

from counterstep import NotApplied

from ..workplace import STANDING, Call, Item, Workplace, items_table, own_file
from . import figures, market
from .figures import WEIGHTS, Assessment, Economy, Filing

SEAT, CASE, REPORT, NOTE = "seat", "case", "report", "note"
"""The kinds of items."""

SEATS = 2
"""How many tasks may use the licensed data at once."""

ARCHIVE = "RESEARCH_ARCHIVE"
"""The variable that says how the archive is: ``up``, or ``down``, which takes no note."""

_METADATA = MetaData()
_ITEMS = items_table("research_items", _METADATA)


def _table(_name: str, /, **columns: type[String | Integer]) -> Table:
    return Table(
        f"research_{_name}",
        _METADATA,
        *(Column(column, kind, nullable=False) for column, kind in columns.items()),
    )


_COMPANIES = _table("companies", ticker=String, name=String, sector=String, country=String)
_FILINGS = _table(
    "filings",
    ticker=String,
    year=Integer,
    revenue=Integer,
    operating_income=Integer,
    debt=Integer,
    equity=Integer,
)
_HEADLINES = _table("headlines", ticker=String, day=String, tone=Integer, said=String)
_CASES = _table("cases", ticker=String, number=Integer, weight=Integer)
_ECONOMIES = _table("economies", country=String, growth=Integer, inflation=Integer, rate=Integer)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Seat(_Model):
    """A seat of the data licence, by the key of the call that has taken it."""

    seat: str


class Case(_Model):
    """A company that one task researches for a quarter, and no other."""

    ticker: str
    quarter: str


class Report(_Model):
    """A report on one company, and the path of its file."""

    ticker: str
    score: int
    rating: str
    report: str


class Gap(_Model):
    """A company without a report, and why."""

    ticker: str
    why: str


class Note(_Model):
    """What a whole research comes to: the best companies, and those that could not be covered."""

    best: list[str]
    not_covered: list[Gap]


class Store:
    """One research database, with the folder of its reports."""

    def __init__(self, folder: Path) -> None:
        """Names its folder; it is made when it is first used."""
        self.workplace = Workplace(folder, _ITEMS, _fill)

    # --- what is known

    def tickers(self, companies: int) -> list[str]:
        """Returns the tickers of the first companies."""
        found = self.workplace.ask(
            "SELECT ticker FROM research_companies LIMIT :companies", companies=companies
        )
        return [row.ticker for row in found]

    def assess(self, aspect: str, ticker: str) -> Assessment:
        """Computes what a specialist may say.

        Args:
            aspect: One of `WEIGHTS`.
            ticker: The company.

        Raises:
            NotApplied: There is no such company, or the data are missing.
        """
        assess: dict[str, Callable[[str], Assessment]] = {
            "financials": self._financials,
            "sentiment": lambda ticker: figures.sentiment(self._numbers(_HEADLINES.c.tone, ticker)),
            "competition": self._competition,
            "regulation": lambda ticker: figures.regulation(self._numbers(_CASES.c.weight, ticker)),
            "macro": self._macro,
        }
        return assess[aspect](ticker)

    def _financials(self, ticker: str) -> Assessment:
        filings = [Filing.model_validate(row._asdict()) for row in self._rows(_FILINGS, ticker)]
        if {filing.year for filing in filings} != set(market.YEARS):
            raise NotApplied(f"{ticker} has not filed anything for {market.YEARS[-1]}")
        return figures.financials(sorted(filings, key=lambda filing: filing.year))

    def _competition(self, ticker: str) -> Assessment:
        sector = self._company(ticker).sector
        peers = select(_COMPANIES.c.ticker).where(_COMPANIES.c.sector == sector)

        def part(year: int) -> tuple[int, int]:
            query = select(func.sum(_FILINGS.c.revenue)).where(_FILINGS.c.year == year)
            own = self.workplace.find(query.where(_FILINGS.c.ticker == ticker))[0][0]
            whole = self.workplace.find(query.where(_FILINGS.c.ticker.in_(peers)))[0][0]
            if not own:
                raise NotApplied(f"{ticker} has not filed anything for {year}")
            return own, whole

        return figures.competition(part(market.YEARS[-1]), part(market.YEARS[-2]))

    def _macro(self, ticker: str) -> Assessment:
        country = self._company(ticker).country
        (row,) = self.workplace.find(select(_ECONOMIES).where(_ECONOMIES.c.country == country))
        return figures.macro(Economy.model_validate(row._asdict()))

    def _company(self, ticker: str) -> Any:
        rows = self._rows(_COMPANIES, ticker)
        if not rows:
            raise NotApplied(f"there is no company {ticker!r}")
        return rows[0]

    def _numbers(self, column: Column[Any], ticker: str) -> list[int]:
        self._company(ticker)
        return [row[0] for row in self.workplace.find(select(column).where(column.table.c.ticker == ticker))]

    def _rows(self, table: Table, ticker: str) -> Sequence[Any]:
        return self.workplace.find(select(table).where(table.c.ticker == ticker))

    # --- what is done

    def take_seat(self, call: Call) -> Seat:
        """Takes a seat of the data licence; raises `NotApplied` where all are taken."""

        def is_free(connection: Connection) -> None:
            this = (_ITEMS.c.kind == SEAT) & (_ITEMS.c.state == STANDING) & (_ITEMS.c.key != call.key)
            taken = [
                row
                for row in connection.execute(select(_ITEMS.c.data).where(this))
                if not row.data["returned"]
            ]
            if len(taken) >= SEATS:
                raise NotApplied(f"all {SEATS} seats of the data licence are taken")

        self.workplace.keep(call, SEAT, "licence", {"returned": False}, check=is_free)
        return Seat(seat=call.key)

    def return_seat(self, seat: str) -> None:
        """Gives a seat back, when the research is done; once more changes nothing."""
        self.workplace.change(seat, {"returned": True})

    def seats_taken(self) -> int:
        """Returns how many seats are taken and not given back."""
        return sum(not (seat.data or {})["returned"] for seat in self.workplace.items(kind=SEAT))

    def open_case(self, call: Call, ticker: str, quarter: str) -> Case:
        """Reserves a company for a task; raises `NotApplied` where another has it for the quarter."""
        name = f"{self._company(ticker).ticker} {quarter}"

        def is_free(connection: Connection) -> None:
            this = (_ITEMS.c.kind == CASE) & (_ITEMS.c.name == name) & (_ITEMS.c.state == STANDING)
            if connection.execute(select(_ITEMS.c.key).where(this, _ITEMS.c.key != call.key)).first():
                raise NotApplied(f"{ticker} is being researched for {quarter} already")

        self.workplace.keep(call, CASE, name, check=is_free)
        return Case(ticker=ticker, quarter=quarter)

    def write_report(self, call: Call, ticker: str, aspects: dict[str, Assessment], summary: str) -> Report:
        """Writes the report on a company: the weighted score, and what the specialists have said."""
        score = figures.overall({aspect: assessment.score for aspect, assessment in aspects.items()})
        rating = figures.rating(score)
        file = own_file("reports", self._company(ticker).ticker, call, "md")
        lines = [
            f"# {self._company(ticker).name}: {rating} ({score} of 100)",
            "",
            *([summary, ""] if summary else []),
        ]
        lines += ["| aspect | weight | score | finding |", "|---|---|---|---|"]
        for aspect, weight in WEIGHTS.items():
            lines.append(f"| {aspect} | {weight} % | {aspects[aspect].score} | {aspects[aspect].finding} |")
        data = {"score": score, "rating": rating}
        self.workplace.keep(call, REPORT, ticker, data, file=file, content="\n".join([*lines, ""]))
        return Report(ticker=ticker, score=score, rating=rating, report=file)

    def conclude(self, task: str, tickers: Sequence[str]) -> Note:
        """Ranks the reports of a task, and says why companies have none."""
        reports = {item.name: item for item in self.workplace.items(task, REPORT)}
        ranked = sorted(reports, key=lambda ticker: (-_score(reports[ticker]), ticker))
        gaps = [Gap(ticker=name, why=self._why_not(name)) for name in tickers if name not in reports]
        return Note(best=[str(ticker) for ticker in ranked[:5]], not_covered=gaps)

    def _why_not(self, ticker: str) -> str:
        try:
            for aspect in WEIGHTS:
                self.assess(aspect, ticker)
        except NotApplied as error:
            return str(error)
        return "the research of it has failed"

    def file_note(self, call: Call, note: Note) -> str:
        """Files a note; raises `NotApplied` where the archive takes none."""
        if os.environ.get(ARCHIVE, "up") == "down":
            raise NotApplied("the archive is down and takes no note")
        lines = [
            "# The best of the quarter",
            "",
            *(f"{place}. {name}" for place, name in enumerate(note.best, 1)),
            "",
        ]
        lines += ["Not covered:", "", *(f"- {gap.ticker}: {gap.why}" for gap in note.not_covered)]
        file = own_file("notes", "note", call, "md")
        self.workplace.keep(call, NOTE, "note", note.model_dump(), file=file, content="\n".join([*lines, ""]))
        return file


def _score(report: Item) -> int:
    return int((report.data or {})["score"])


def _fill(connection: Connection) -> None:
    for table, rows in (
        (_COMPANIES, market.companies()),
        (_FILINGS, market.filings()),
        (_HEADLINES, market.headlines()),
        (_CASES, market.cases()),
        (_ECONOMIES, market.economies()),
    ):
        connection.execute(insert(table), list(rows))


_stores: dict[str, Store] = {}


def store(task: str) -> Store:
    """Returns the database for a task.

    ``RESEARCH_FOLDER`` names its folder; ``.counterstep/research`` where it is not set. ``{task}`` in it
    stands for the task's id: a database for each task, for when many are to research the same companies.
    """
    named = (os.environ.get("RESEARCH_FOLDER") or ".counterstep/research").replace("{task}", task)
    return _stores.setdefault(named, Store(Path(named)))
