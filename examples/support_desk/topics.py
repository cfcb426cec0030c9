"""Who deals with what, by the words that customers use."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict

_WORDS = {
    "escalation": r"lawyers?|legal|sue|court|complain\w*|regulator|data protection",
    "billing": r"charged?|charges|refund\w*|invoices?|paid|payments?|money",
    "sales": r"upgrade|upgrading|plans?|price|pricing|seats?|discount",
    "technical": r"bugs?|error\w*|crash\w*|broken|fails?|failed|slow|log ?in|export|does(?:n't| not) work",
}
_POLITE = re.compile(r"(?:hi|hello|dear|thanks?|(?:best|kind) regards)\b[^.!?]{0,40}[.!?,]?", re.IGNORECASE)
_BREAKS = re.compile(
    r"(?<=[.!?;])\s+|,?\s+(?:and|but|also)\s+(?=(?:I|we|my|our|please|the)\b)", re.IGNORECASE
)


class Wishes(BaseModel):
    """A message, taken apart: for each agent the passages that concern it, word for word."""

    model_config = ConfigDict(frozen=True)

    billing: list[str] = []
    sales: list[str] = []
    technical: list[str] = []
    escalation: list[str] = []

    def passages(self) -> list[str]:
        """Returns all passages."""
        return [*self.billing, *self.sales, *self.technical, *self.escalation]


def sort(message: str) -> Wishes:
    """Takes a message apart by its words; what fits nobody is for the escalation."""
    found: dict[str, list[str]] = {topic: [] for topic in Wishes.model_fields}
    for passage in (part.strip() for part in _BREAKS.split(message)):
        if passage and not _POLITE.fullmatch(passage):
            found[_topic(passage)].append(passage)
    return Wishes.model_validate(found)


def _topic(passage: str) -> str:
    fits = (
        topic for topic, words in _WORDS.items() if re.search(rf"\b(?:{words})\b", passage, re.IGNORECASE)
    )
    return next(fits, "escalation")
