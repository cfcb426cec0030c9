"""What the researchers can do, and how it is undone."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from counterstep import Bundle, Effect, Undo, current_step

from ..workplace import call_of, this_call
from .figures import WEIGHTS, Assessment
from .store import CASE, NOTE, REPORT, SEAT, Case, Note, Report, Seat, Store, store

research = Bundle("research", stand_in=True)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Financials(_Model):
    """What the filings say of a company."""

    financials: Assessment


class Sentiment(_Model):
    """What the press says of a company."""

    sentiment: Assessment


class Competition(_Model):
    """How a company stands in its sector."""

    competition: Assessment


class Regulation(_Model):
    """What regulators have against a company."""

    regulation: Assessment


class Macro(_Model):
    """How the country of a company is off."""

    macro: Assessment


class Thesis(_Model):
    """All that is said of a company, and what follows from it in two or three sentences."""

    ticker: str
    financials: Assessment
    sentiment: Assessment
    competition: Assessment
    regulation: Assessment
    macro: Assessment
    summary: str = ""

    def aspects(self) -> dict[str, Assessment]:
        """Returns the assessments by aspect."""
        return {aspect: getattr(self, aspect) for aspect in WEIGHTS}


# --- reading: the figures are computed from the database, not by a model


@research.tool(effect=Effect.READ_ONLY)
def universe(companies: int) -> list[str]:
    """Lists the tickers of the companies to research."""
    return _store().tickers(companies)


@research.tool(effect=Effect.READ_ONLY)
def read_filings(ticker: str) -> Financials:
    """Computes growth, margin and debt of a company from its filings, and scores them."""
    return Financials(financials=_store().assess("financials", ticker))


@research.tool(effect=Effect.READ_ONLY)
def read_headlines(ticker: str) -> Sentiment:
    """Scores the tone of what is written of a company."""
    return Sentiment(sentiment=_store().assess("sentiment", ticker))


@research.tool(effect=Effect.READ_ONLY)
def compare_with_sector(ticker: str) -> Competition:
    """Computes a company's part of its sector in the last two years, and scores it."""
    return Competition(competition=_store().assess("competition", ticker))


@research.tool(effect=Effect.READ_ONLY)
def list_cases(ticker: str) -> Regulation:
    """Scores the open cases that regulators have against a company."""
    return Regulation(regulation=_store().assess("regulation", ticker))


@research.tool(effect=Effect.READ_ONLY)
def read_economy(ticker: str) -> Macro:
    """Scores growth, inflation and interest rate of the country that a company works in."""
    return Macro(macro=_store().assess("macro", ticker))


@research.tool(effect=Effect.READ_ONLY)
def rank_reports(tickers: list[str]) -> Note:
    """Ranks the reports of this task, and lists the companies that have none, with the reason."""
    return _store().conclude(current_step().task_id, tickers)


# --- what is done


@research.tool(compensate="free_seat")
def take_seat() -> Seat:
    """Takes one seat of the data licence."""
    return _store().take_seat(this_call())


@research.compensation
def free_seat(undo: Undo[Seat]) -> None:
    """Gives a seat back, as if it had never been taken."""
    store(undo.task_id).workplace.withdraw(call_of(undo), SEAT)


@research.tool(effect=Effect.RETRIABLE)
def return_seat(seat: str) -> None:
    """Gives a seat back after the work."""
    _store().return_seat(seat)


@research.tool(compensate="close_case")
def open_case(ticker: str, quarter: str) -> Case:
    """Reserves a company, so that nobody else researches it for this quarter."""
    return _store().open_case(this_call(), ticker, quarter)


@research.compensation
def close_case(undo: Undo[Case]) -> None:
    """Frees a company."""
    store(undo.task_id).workplace.withdraw(call_of(undo), CASE)


@research.tool(compensate="delete_report")
def write_report(thesis: Thesis) -> Report:
    """Writes the report on a company; the weighted score and the rating are computed."""
    return _store().write_report(this_call(), thesis.ticker, thesis.aspects(), thesis.summary)


@research.compensation
def delete_report(undo: Undo[Report]) -> None:
    """Deletes a report."""
    store(undo.task_id).workplace.withdraw(call_of(undo), REPORT)


@research.tool(compensate="delete_note")
def file_note(note: Note) -> str:
    """Files what the research comes to; returns the path of the note."""
    return _store().file_note(this_call(), note)


@research.compensation
def delete_note(undo: Undo[str]) -> None:
    """Deletes a note."""
    store(undo.task_id).workplace.withdraw(call_of(undo), NOTE)


def _store() -> Store:
    return store(current_step().task_id)
