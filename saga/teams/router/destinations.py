"""Whom a router may send a request to: members, and intents that several of them may take."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ...spec.teams.intent import Intent

SHARPNESS: Final = 0.05
"""How far apart two similarities are of which one is e times as likely: cosines of texts lie close together.

It is the temperature of a softmax, by which similarities become probabilities (CLIP, Radford et al. 2021).
"""


class Destinations:
    """Whom a router may send a request to.

    Attributes:
        choices: What it may be sent to: intents, and the members that take none.
        phrases: What each intent is compared with.
        plain: The members that take no intents.
    """

    def __init__(self, members: Sequence[str], intents: Mapping[str, Sequence[Intent]]) -> None:
        """Joins the intents of members.

        Args:
            members: All of them, as the team calls them.
            intents: What each takes; nothing for who says nothing.
        """
        self.plain = tuple(key for key in members if not intents.get(key))
        self._takers: dict[str, tuple[str, ...]] = {}
        self.phrases: dict[str, tuple[str, ...]] = {}
        for key in members:
            for intent in intents.get(key, ()):
                known = self.phrases.get(intent.name, ())
                self.phrases[intent.name] = tuple(dict.fromkeys((*known, *intent.phrases)))
                self._takers[intent.name] = (*self._takers.get(intent.name, ()), key)
        self.choices = (*self.phrases, *self.plain)

    def takers(self, choice: str) -> tuple[str, ...]:
        """Returns the members that take an intent; of a member, itself."""
        return self._takers.get(choice, (choice,))


class Likeness(NamedTuple):
    """What a request is most like.

    Attributes:
        to: The intent.
        similarity: The cosine to the nearest of its phrases.
        confidence: How sure that is, from 0 to 1.
    """

    to: str
    similarity: float
    confidence: float


def likeness(scores: Mapping[str, float], least: float) -> Likeness:
    """Returns what a request is most like, and how sure that is.

    The confidence is the share of the best one in a softmax over the similarities, so that two intents which
    are equally near share it; it is 0 where even the best one is not similar.

    Args:
        scores: The greatest cosine similarity to the phrases of each intent; at least one.
        least: What is similar at all.
    """
    best = max(scores, key=lambda name: scores[name])
    weights = [math.exp((score - scores[best]) / SHARPNESS) for score in scores.values()]
    confidence = 1 / sum(weights) if scores[best] >= least else 0.0
    return Likeness(best, scores[best], round(confidence, 4))


def text_of(value: Any) -> str:
    """Returns the text of an input: itself, the texts in an object, or all of it as JSON."""
    if isinstance(value, str):
        return value
    texts = [part for part in value.values() if isinstance(part, str)] if isinstance(value, Mapping) else []
    return "\n".join(texts) or json.dumps(value, ensure_ascii=False)
