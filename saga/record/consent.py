"""To what people have said yes, as one task remembers it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..spec.arguments import canonical


def shown_hash(tool: str, arguments: Any, before: Any) -> str:
    """Returns the hash of what a person is shown of a call.

    Args:
        tool: The full name of the tool.
        arguments: The arguments by name.
        before: What was read before, or None.

    Returns:
        The first 128 bits of SHA-256 of the canonical JSON, in hexadecimal digits: people have to pass it on.
    """
    text = canonical({"tool": tool, "arguments": arguments, "before": before})
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Consent(BaseModel):
    """The yeses of one task.

    Attributes:
        unused: By the place of the calls, the hashes of those that were approved and are still to be made, or
            have failed: a call that is made again needs no other yes.
        always: By tool and approval, the arguments that stand for all further calls within them.
        tokens: The ids of signed tokens that have been used, each with the time in seconds at which it
            expires: until then it could be sent once more.
    """

    model_config = ConfigDict(frozen=True)

    unused: dict[str, tuple[str, ...]] = {}
    always: dict[str, tuple[dict[str, Any], ...]] = {}
    tokens: dict[str, float] = {}

    def has(self, place: str, hash_: str) -> bool:
        """Says whether a call that is to be made was approved."""
        return hash_ in self.unused.get(place, ())

    def grant(self, place: str, hash_: str) -> Consent:
        """Adds the yes to one call."""
        hashes = tuple(dict.fromkeys((*self.unused.get(place, ()), hash_)))
        return self.model_copy(update={"unused": {**self.unused, place: hashes}})

    def use(self, place: str, hash_: str) -> Consent:
        """Takes the yes to a call that is made now."""
        left = tuple(other for other in self.unused.get(place, ()) if other != hash_)
        others = {name: hashes for name, hashes in self.unused.items() if name != place}
        return self.model_copy(update={"unused": {**others, place: left} if left else others})

    def grant_always(self, standing: str, arguments: dict[str, Any]) -> Consent:
        """Adds the yes to all further calls within these arguments, as far as one approval goes."""
        return self.model_copy(
            update={"always": {**self.always, standing: (*self.always.get(standing, ()), arguments)}}
        )

    def use_token(self, id_: str, expires: float, now: float) -> Consent:
        """Adds a token that has been used, and forgets those that nobody could use any more."""
        left = {other: at for other, at in self.tokens.items() if at > now}
        return self.model_copy(update={"tokens": {**left, id_: expires}})

    def with_always(self, further: Mapping[str, tuple[dict[str, Any], ...]]) -> Consent:
        """Adds what people have said yes to elsewhere in the same task."""
        added = {
            tool: (
                *self.always.get(tool, ()),
                *(one for one in found if one not in self.always.get(tool, ())),
            )
            for tool, found in further.items()
        }
        return self.model_copy(update={"always": {**self.always, **added}}) if added else self
