"""Independent checks: the library and the store have the last word, whatever an agent says."""

from __future__ import annotations

from counterstep import NotApplied, Subject, Verdict

from .facts import disputed, library
from .store import DRAFT, SEO, Draft, Seo, store
from .tools import FactReport, Findings, Outline, content


@content.validator
def in_the_library(subject: Subject) -> Verdict:
    """Checks that every finding is in the library, word for word, with the source that it has there."""
    held = library(subject.task["topic"])
    invented = [fact for fact in Findings.model_validate(subject.output).facts if fact not in held]
    if invented:
        return Verdict.reject(*(f"no {fact.source} says: {fact.statement}" for fact in invented))
    return Verdict.accept("the library has all of it")


@content.validator
def made_of_findings(subject: Subject) -> Verdict:
    """Checks that an outline rests on what was found, and on nothing else."""
    outline = Outline.model_validate(subject.output)
    found = [fact["statement"] for fact in (subject.input or {})["facts"]]
    said = [statement for section in outline.sections for statement in section.statements]
    if not said:
        return Verdict.reject("the outline is empty")
    invented = [statement for statement in said if statement not in found]
    if invented:
        return Verdict.reject(*(f"nobody has found: {statement}" for statement in invented))
    return Verdict.accept("all statements were found")


@content.validator
def draft_is_stored(subject: Subject) -> Verdict:
    """Checks that the draft that the writer names is stored, is no empty file, and is the only one."""
    draft = Draft.model_validate(subject.output)
    kept = store(subject.task_id)
    files = [item.file for item in kept.workplace.items(subject.task_id, DRAFT)]
    if files != [draft.draft]:
        return Verdict.reject(f"the store has {', '.join(map(str, files)) or 'no draft'}")
    words = len(kept.text_of(subject.task_id, draft.draft).split())
    if words != draft.words or not words:
        return Verdict.reject(f"the draft has {words} words, and not {draft.words}")
    return Verdict.accept(f"the store has it, with {words} words")


@content.validator
def figures_hold(subject: Subject) -> Verdict:
    """Checks the figures of the stored draft once more, and hands on what the fact-checker disputes."""
    report = FactReport.model_validate(subject.output)
    try:
        body = store(subject.task_id).text_of(subject.task_id, (subject.input or {})["draft"])
    except NotApplied as error:
        return Verdict.reject(str(error))
    own = disputed(body, subject.task["topic"])
    found = {dispute.said: dispute.complaint() for dispute in [*report.disputed, *own]}
    if found:
        return Verdict.reject(*found.values())
    return Verdict.accept("the reference works bear out every figure")


@content.validator
def seo_is_stored(subject: Subject) -> Verdict:
    """Checks that what search engines are told is short enough, of this article, and stored."""
    seo = Seo.model_validate(subject.output)
    kept = store(subject.task_id)
    stored = [Seo.model_validate(item.data) for item in kept.workplace.items(subject.task_id, SEO)]
    if stored != [seo]:
        return Verdict.reject(f"the store has {len(stored)} entries, and not this one alone")
    if not 1 <= len(seo.description) <= 155:
        return Verdict.reject(f"the description has {len(seo.description)} letters; 1 to 155 are shown")
    text = kept.text_of(subject.task_id, (subject.input or {})["draft"]).lower()
    absent = [word for word in seo.keywords if word.lower() not in text]
    if absent:
        return Verdict.reject(f"the article does not speak of {', '.join(absent)}")
    return Verdict.accept("it is short, true to the article, and stored")
