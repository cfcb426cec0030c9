"""What the agents of the pipeline can do, and how it is undone."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from counterstep import Approval, Bundle, Effect, Undo, current_step

from ..workplace import call_of, this_call
from .facts import Disputed, Fact, complaint_about, disputed, library, sentences
from .store import DRAFT, MEDIA, SEO, SLUG, Draft, Media, Page, Seo, Slug, Store, store

content = Bundle("content", stand_in=True)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Findings(_Model):
    """What is known of a topic, and who says so."""

    facts: list[Fact]


class Section(_Model):
    """A section of an article, and the statements that it is made of."""

    heading: str
    statements: list[str]


class Outline(_Model):
    """How an article is built."""

    title: str
    sections: list[Section]


class Body(_Model):
    """The text of an article in Markdown."""

    body: str


class FactReport(_Model):
    """What a fact-check has found: how many sentences it has looked at, and which are disputed."""

    checked: int
    disputed: list[Disputed]


# --- reading


@content.tool(effect=Effect.READ_ONLY)
def search_sources(topic: str) -> Findings:
    """Lists what the library has on a topic, each statement with its source."""
    return Findings(facts=library(topic))


@content.tool(effect=Effect.READ_ONLY)
def suggest_outline(topic: str, facts: list[Fact]) -> Outline:
    """Suggests a title, and one section for every two statements."""
    said = [fact.statement for fact in facts]
    pairs = [said[start : start + 2] for start in range(0, len(said), 2)]
    sections = [
        Section(heading=f"{topic.capitalize()}, part {number}", statements=pair)
        for number, pair in enumerate(pairs, 1)
    ]
    return Outline(title=topic.capitalize(), sections=sections)


@content.tool(effect=Effect.READ_ONLY)
def rough_draft(sections: list[Section], complaints: list[str]) -> Body:
    """Strings the statements of an outline together, without those that a fact-check has complained of."""
    parts = []
    for section in sections:
        kept = [
            said
            for said in section.statements
            if not any(complaint_about(said) in complaint for complaint in complaints)
        ]
        parts += [f"## {section.heading}", " ".join(kept)] if kept else []
    return Body(body="\n\n".join(parts) + "\n")


@content.tool(effect=Effect.READ_ONLY)
def compare_with_reference(topic: str, draft: str) -> FactReport:
    """Compares each sentence of a stored draft that has figures with the reference works."""
    body = _store().text_of(current_step().task_id, draft)
    return FactReport(checked=len(sentences(body)), disputed=disputed(body, topic))


@content.tool(effect=Effect.READ_ONLY)
def suggest_seo(topic: str, draft: str) -> Seo:
    """Suggests a description, made of the beginning of a stored draft, and the words that stand out in it."""
    said = sentences(_store().text_of(current_step().task_id, draft))
    words = [word.strip(".,'") for sentence in said for word in sentence.split()[1:]]
    names = [word for word in words if word[:1].isupper()]
    return Seo(description=said[0][:155], keywords=list(dict.fromkeys([topic, *names]))[:6])


# --- what can be undone


@content.tool(compensate="free_slug")
def reserve_slug(title: str) -> Slug:
    """Reserves the address that belongs to a title."""
    return _store().reserve_slug(this_call(), title)


@content.compensation
def free_slug(undo: Undo[Slug]) -> None:
    """Frees an address."""
    store(undo.task_id).workplace.withdraw(call_of(undo), SLUG)


@content.tool(compensate="delete_media")
def upload_media(slug: str, title: str) -> Media:
    """Draws a title picture and uploads it."""
    return _store().upload_media(this_call(), slug, title)


@content.compensation
def delete_media(undo: Undo[Media]) -> None:
    """Deletes a picture."""
    store(undo.task_id).workplace.withdraw(call_of(undo), MEDIA)


@content.tool(compensate="delete_draft")
def save_draft(slug: str, body: str) -> Draft:
    """Stores the text of an article as a new version; returns the path by which others find it."""
    return _store().save_draft(this_call(), slug, body)


@content.compensation
def delete_draft(undo: Undo[Draft]) -> None:
    """Deletes a version."""
    store(undo.task_id).workplace.withdraw(call_of(undo), DRAFT)


@content.tool(compensate="delete_seo")
def save_seo(slug: str, description: str, keywords: list[str]) -> Seo:
    """Stores what search engines are to be told of an article."""
    return _store().save_seo(this_call(), slug, Seo(description=description, keywords=keywords))


@content.compensation
def delete_seo(undo: Undo[Seo]) -> None:
    """Deletes what search engines were to be told."""
    store(undo.task_id).workplace.withdraw(call_of(undo), SEO)


# --- what cannot: what was published has been read


@content.tool(
    effect=Effect.PIVOT,
    idempotent=True,
    approval=Approval(
        ask="Publish ${{ arguments.draft }} as /${{ arguments.slug }}.html?", deadline="2d", default="reject"
    ),
)
def publish(slug: str, title: str, draft: str, seo: Seo, media: Media) -> Page:
    """Puts an article on the site."""
    return _store().publish(this_call(), slug, title, draft, seo, media)


@content.tool(effect=Effect.RETRIABLE)
def list_pages(url: str) -> list[str]:
    """Puts a new page into the table of contents of the site."""
    return _store().list_pages()


def _store() -> Store:
    return store(current_step().task_id)
