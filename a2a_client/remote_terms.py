"""What a worker knows of an agent elsewhere; no task has any of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RemoteTerms:
    """Where an agent is, and how it is spoken to.

    Attributes:
        url: Its address, below which its card is.
        headers: Are sent with every request; they may hold secrets.
        keys: The path of a file with a JWKS by whose keys its card is signed; None for none.
        require_signature: Whether a card without a valid signature is refused.
        metadata: What each message says besides, e.g. which of its skills is asked.
        idempotent: Whether it does a message with an id that it has had already only once.
    """

    url: str
    headers: Mapping[str, str]
    keys: str | None = None
    require_signature: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    idempotent: bool = False
