"""The agents of the pipeline: researcher, outliner, writer, fact-checker and search editor."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from counterstep import Agent

from .facts import Fact
from .store import Draft, Seo
from .tools import (
    FactReport,
    Findings,
    Outline,
    Section,
    compare_with_reference,
    content,
    rough_draft,
    save_draft,
    save_seo,
    search_sources,
    suggest_outline,
    suggest_seo,
)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Topic(_Model):
    """What an article is about."""

    topic: str


class Material(Topic):
    """What was found."""

    facts: list[Fact]


class Assignment(_Model):
    """What is to be written; the complaints are those of earlier fact-checks, or none."""

    slug: str
    title: str
    sections: list[Section]
    complaints: list[str] = []


class Written(Topic):
    """A draft that is stored."""

    draft: str


class Article(Written):
    """A draft, and the address that it will have."""

    slug: str


researcher: Agent[Findings] = content.add(
    Agent(
        name="researcher",
        description="Collects what the library has on a topic.",
        instructions="You research articles. Call search_sources once for the topic. Answer with the "
        "statements that the article can use, each word for word and with the source that "
        "the library names. Do not add what you know yourself: a statement without a "
        "source cannot be checked, and the article will be refused. Where sources "
        "contradict each other keep both; the fact-check decides.",
        tools=[search_sources],
        input=Topic,
        output=Findings,
    )
)

outliner: Agent[Outline] = content.add(
    Agent(
        name="outliner",
        description="Arranges findings into an outline.",
        instructions="You outline articles for readers who know nothing of the topic. Arrange the "
        "statements into one to four sections, each with a heading of at most eight words, "
        "so that each section answers one question. Use every statement once, word for "
        "word, in the order of time within a section. The title says what the article is "
        "about in at most ten words; it promises nothing that the statements do not hold. "
        "suggest_outline gives you a beginning: improve on it.",
        tools=[suggest_outline],
        input=Material,
        output=Outline,
    )
)

writer: Agent[Draft] = content.add(
    Agent(
        name="writer",
        description="Writes one version of an article and stores it.",
        instructions="You write clear, sober prose. Follow the outline section by section: a heading "
        "with ##, then full sentences that say what its statements say. Change no name, "
        "year or figure, and add none. Where there are complaints, an earlier version did "
        "not pass the fact-check: leave out or correct each sentence that they name, and "
        "keep the rest as it was. rough_draft gives you a beginning. Store your final text "
        "once with save_draft, and answer with what it returns.",
        tools=[rough_draft, save_draft],
        input=Assignment,
        output=Draft,
    )
)

fact_checker: Agent[FactReport] = content.add(
    Agent(
        name="fact_checker",
        description="Checks a draft against the reference works.",
        instructions="You check facts, and you have not written the article. compare_with_reference "
        "finds the figures that the reference works do not bear out; report all of them. "
        "Add a sentence of your own only where it contradicts a reference statement, "
        "quoted word for word, and say why. Do not judge style, and do not excuse a small "
        "error: a wrong year is a wrong year.",
        tools=[compare_with_reference],
        input=Written,
        output=FactReport,
    )
)

seo_editor: Agent[Seo] = content.add(
    Agent(
        name="seo_editor",
        description="Writes what search engines are told of an article.",
        instructions="You make articles findable without overselling them. Write one description of at "
        "most 155 letters that says what a reader learns, and up to six keywords, each of "
        "which occurs in the article. No superlatives, no questions, no clickbait. "
        "suggest_seo gives you a beginning. Store the result once with save_seo, and "
        "answer with exactly what you have stored.",
        tools=[suggest_seo, save_seo],
        input=Article,
        output=Seo,
    )
)
