"""Who calls: known by a token of a file, or by a signed token of an issuer."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from ..runtime.decision_keys import DecisionKeys
from ..runtime.text_file import read_text_file
from ..saga.errors import DefinitionError

SHORTEST: Final = 16
"""Characters that a token has at least: a shorter one can be guessed."""

_LEEWAY: Final = 30.0


class Callers(Protocol):
    """Knows callers by what they show."""

    format: str

    def subject(self, token: str) -> str | None:
        """Returns who shows a bearer token; None for nobody who is known."""
        ...


class NamedTokens:
    """Tokens that a file lists, each with the name of its caller."""

    format = "opaque"

    def __init__(self, names: Mapping[str, str]) -> None:
        """Keeps the tokens.

        Args:
            names: The names, by their tokens.
        """
        self._names = {_digest(token): name for token, name in names.items()}

    @classmethod
    def read(cls, path: Path) -> NamedTokens:
        """Reads a file with lines of a name and a token; ``#`` begins a comment.

        Raises:
            DefinitionError: It cannot be read, or a line is not one.
        """
        lines = read_text_file(path, "the tokens").splitlines()
        names: dict[str, str] = {}
        faults = []
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) != 2 or len(words[1]) < SHORTEST:
                faults.append(f"line {number} is not a name and a token of {SHORTEST} characters or more")
            elif words[1] in names:
                faults.append(f"line {number} has the token of {names[words[1]]}")
            else:
                names[words[1]] = words[0]
        if not names and not faults:
            faults.append("it has no token")
        if faults:
            raise DefinitionError(f"the tokens {str(path)!r}: {'; '.join(faults)}")
        return cls(names)

    def subject(self, token: str) -> str | None:
        """See `Callers`."""
        shown = _digest(token)
        return next((name for known, name in self._names.items() if hmac.compare_digest(known, shown)), None)


class SignedTokens:
    """Tokens of an issuer: JWTs, as RFC 9068 has them."""

    format = "JWT"

    def __init__(self, keys: DecisionKeys) -> None:
        """Prepares to verify.

        Args:
            keys: The issuer's keys, with our audience.
        """
        self._keys = keys

    def subject(self, token: str) -> str | None:
        """See `Callers`."""
        try:
            claims = self._keys.claims(token)
            now = time.time()
            if float(claims["exp"]) < now - _LEEWAY or float(claims.get("nbf", 0)) > now + _LEEWAY:
                return None
        except (ValueError, TypeError):
            return None
        subject = claims["sub"]
        return subject if isinstance(subject, str) and subject else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
