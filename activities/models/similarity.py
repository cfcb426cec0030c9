"""How similar texts are, by the vectors that an embedding model has given them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

MOST_VECTORS: Final = 10_000
"""Phrases whose vectors a process keeps; they come from declarations, and are fewer."""

Vector = tuple[float, ...]


class PhraseVectors:
    """The vectors of phrases that one process has asked for; each phrase is sent once to each model."""

    def __init__(self) -> None:
        """Begins without any."""
        self._known: dict[tuple[str, str], Vector] = {}

    def missing(self, model: str, phrases: Iterable[str]) -> list[str]:
        """Returns the phrases that the model has still to be asked for, each once."""
        return [phrase for phrase in dict.fromkeys(phrases) if (model, phrase) not in self._known]

    def keep(self, model: str, phrases: Sequence[str], vectors: Sequence[Vector]) -> None:
        """Keeps the vectors of phrases."""
        if len(self._known) + len(phrases) > MOST_VECTORS:
            self._known.clear()
        self._known.update({(model, phrase): vector for phrase, vector in zip(phrases, vectors, strict=True)})

    def scores(
        self, model: str, vector: Vector, phrases: Mapping[str, Sequence[str]]
    ) -> dict[str, float] | None:
        """Returns the greatest cosine similarity of a vector to the phrases of each name.

        None where a phrase is not known any more, or has a vector of another length.
        """
        known = {name: [self._known.get((model, one)) for one in some] for name, some in phrases.items()}
        if any(other is None or len(other) != len(vector) for some in known.values() for other in some):
            return None
        return {
            name: round(max(_cosine(vector, other) for other in some if other is not None), 6)
            for name, some in known.items()
        }


def unit_vectors(data: Any, count: int) -> list[Vector] | None:
    """Reads the ``data`` of an answer in OpenAI's form, in the order in which the texts were sent.

    Args:
        data: What came.
        count: How many texts were sent.

    Returns:
        The vectors at length 1; None where that is not what came.
    """
    try:
        ranked = {int(item["index"]): item["embedding"] for item in data}
        vectors = [_unit([float(number) for number in ranked[place]]) for place in range(count)]
    except (LookupError, TypeError, ValueError):
        return None
    return vectors if all(vectors) and len(data) == count else None


def by_words(text: str, phrases: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Returns what the stand-in says of similarities: the cosine of the words that two texts share."""
    asked = _words(text)
    return {
        name: round(max(_shared(asked, _words(one)) for one in some), 6) for name, some in phrases.items()
    }


def _unit(numbers: Sequence[float]) -> Vector:
    length = math.sqrt(math.fsum(number * number for number in numbers))
    if not length or not math.isfinite(length):
        return ()
    return tuple(number / length for number in numbers)


def _cosine(one: Vector, other: Vector) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def _shared(one: Counter[str], other: Counter[str]) -> float:
    lengths = [math.sqrt(sum(count * count for count in words.values())) for words in (one, other)]
    return sum(one[word] * other[word] for word in one) / math.prod(lengths) if all(lengths) else 0.0
