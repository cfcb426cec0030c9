"""Independent checks: every figure is computed once more from the database."""

from __future__ import annotations

from counterstep import NotApplied, Subject, Verdict

from .figures import overall, rating
from .store import REPORT, Note, Report, store
from .tools import Thesis, research


@research.validator
def figures_are_right(subject: Subject) -> Verdict:
    """Computes what each specialist may say once more, for the company that was asked for."""
    thesis = Thesis.model_validate(subject.output)
    asked = (subject.input or {})["ticker"]
    if thesis.ticker != asked:
        return Verdict.reject(f"it is about {thesis.ticker}, and {asked} was asked for")
    wrong = []
    for aspect, told in thesis.aspects().items():
        try:
            true = store(subject.task_id).assess(aspect, asked)
        except NotApplied as error:
            wrong.append(f"{aspect}: {error}")
            continue
        if told != true:
            wrong.append(f"{aspect} is {true.score}, not {told.score}: {true.finding}")
    return Verdict.reject(*wrong) if wrong else Verdict.accept("all five are computed to the same")


@research.validator
def report_is_right(subject: Subject) -> Verdict:
    """Checks that the report is stored, that its file is there, and its score and rating."""
    report = Report.model_validate(subject.output)
    kept = store(subject.task_id)
    stored = [item for item in kept.workplace.items(subject.task_id, REPORT) if item.name == report.ticker]
    if [item.file for item in stored] != [report.report] or kept.workplace.read(report.report) is None:
        return Verdict.reject(f"the report on {report.ticker} is not stored, or not once")
    score = overall({name: found.score for name, found in _thesis(subject).aspects().items()})
    if (report.score, report.rating) != (score, rating(score)):
        return Verdict.reject(f"the score is {score}, which is a {rating(score)}")
    return Verdict.accept(f"it is stored, and {score} is a {report.rating}")


@research.validator
def note_is_complete(subject: Subject) -> Verdict:
    """Ranks the reports once more, and checks that no company is left out in silence."""
    true = store(subject.task_id).conclude(subject.task_id, (subject.input or {})["tickers"])
    told = Note.model_validate(subject.output)
    if told.best != true.best:
        return Verdict.reject(f"the best are {', '.join(true.best) or 'none'}")
    if told.not_covered != true.not_covered:
        return Verdict.reject(
            f"not covered are {', '.join(gap.ticker for gap in true.not_covered) or 'none'}"
        )
    return Verdict.accept("the ranking is right, and the gaps are all told")


def _thesis(subject: Subject) -> Thesis:
    return Thesis.model_validate((subject.input or {})["thesis"])
