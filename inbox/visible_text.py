"""Shows texts of models and users as they are, also where they try to look like something else."""

from __future__ import annotations

import unicodedata
from typing import Final

_KEPT: Final = frozenset("\n\t\u200c\u200d")
"""Line ends, tabs, and the joiners that some scripts and emoji need."""

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, marks that turn the direction of a text or cannot be seen, and what is no character."""


def is_hidden(character: str) -> bool:
    """Returns whether a reader would not see a character, or would see others differently for it."""
    return character not in _KEPT and unicodedata.category(character) in _HIDDEN


def visible(text: str) -> str:
    """Writes characters that cannot be seen as their numbers, e.g. ``[U+202E]``."""
    return "".join(f"[U+{ord(c):04X}]" if is_hidden(c) else c for c in text)


def is_plain(text: str) -> bool:
    """Returns whether a text field of a form gives a text back as it was."""
    return not any(is_hidden(character) for character in text)
