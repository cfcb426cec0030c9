"""What the library says, and which figures of a text it does not bear out. No database, no model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from counterstep import NotApplied

SOURCES = Path(__file__).with_name("sources.yaml")

_WORD = re.compile(r"\w+")
_FIGURE = re.compile(r"\b\d+\b")  # not the 4 of a name like H4
_END_OF_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class Fact(BaseModel):
    """A statement that a source makes, true or not."""

    model_config = ConfigDict(frozen=True)

    statement: str
    source: str


class Disputed(BaseModel):
    """A sentence that the reference works contradict."""

    model_config = ConfigDict(frozen=True)

    said: str
    why: str

    def complaint(self) -> str:
        """Returns what its writer is told."""
        return f"{complaint_about(self.said)}: {self.why}"


def complaint_about(said: str) -> str:
    """Returns how a complaint about a sentence begins."""
    return f'not so: "{said}"'


def library(topic: str) -> list[Fact]:
    """Returns what all sources say of a topic; raises `NotApplied` where the library has nothing on it."""
    shelves = _shelves().get(topic)
    if shelves is None:
        raise NotApplied(f"the library has nothing on {topic!r}; it has {', '.join(_shelves())}")
    return [Fact(statement=said, source=source) for source, shelf in shelves.items() for said in shelf]


def disputed(text: str, topic: str) -> list[Disputed]:
    """Compares each sentence that has figures with the reference statement that is nearest to it.

    Args:
        text: An article in Markdown; headings are left out.
        topic: What it is about.

    Returns:
        The sentences with a figure that the reference statement does not have.

    Raises:
        NotApplied: The library has nothing on the topic.
    """
    reference = [fact.statement for fact in library(topic) if fact.source == "reference"]
    found = []
    for sentence in sentences(text):
        figures = set(_FIGURE.findall(sentence))
        nearest = _nearest(sentence, reference)
        if figures - set(_FIGURE.findall(nearest)):
            found.append(Disputed(said=sentence, why=f"the reference says: {nearest}"))
    return found


def sentences(text: str) -> list[str]:
    """Returns the sentences of a text in Markdown, without headings and pictures."""
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "!"))]
    return [sentence for line in lines for sentence in _END_OF_SENTENCE.split(line.strip())]


def _nearest(sentence: str, statements: Sequence[str]) -> str:
    words = _words(sentence)
    return max(statements, key=lambda statement: len(words & _words(statement)))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower())) - set(_FIGURE.findall(text))


@cache
def _shelves() -> dict[str, dict[str, list[str]]]:
    shelves: dict[str, dict[str, list[str]]] = yaml.safe_load(SOURCES.read_text(encoding="utf-8"))
    return shelves
