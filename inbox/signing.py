"""Signs what people decide, for workers that take signed decisions only (`COUNTERSTEP_DECISION_KEYS`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import jwt

from ..runtime.signing_key import SigningKey
from ..saga.people.signatures import value_hash
from .person import SignedIn

LIFETIME: Final = 120
"""Seconds for which a token counts: it is sent at once."""


class DecisionSigner:
    """A private key, with which the inbox says who has decided what.

    Attributes:
        public_keys: The public key as a JWKS, for the workers.
    """

    def __init__(self, text: str, audience: str | None = None) -> None:
        """Reads the key.

        Args:
            text: A private JWK (RSA, EC or Ed25519) with a `kid`.
            audience: What the claim ``aud`` names (`COUNTERSTEP_DECISION_AUDIENCE`); None for no such claim.

        Raises:
            DefinitionError: It is not one.
        """
        self._key = SigningKey(text)
        self._audience = audience
        self.public_keys = self._key.public_keys

    def token(self, person: SignedIn, task_id: str, said: Mapping[str, Any], now: float) -> str:
        """Returns a signed token for one decision.

        Args:
            person: Who decides.
            task_id: The task.
            said: The argument of the update.
            now: The time, in seconds since 1970.
        """
        claims: dict[str, Any] = {
            "sub": person.name,
            "roles": list(person.roles),
            "iat": int(now),
            "exp": int(now) + LIFETIME,
            "jti": str(uuid4()),
            "task": task_id,
            "step": said["step"],
            "action": said["action"],
        }
        if self._audience is not None:
            claims["aud"] = self._audience
        if said.get("hash"):
            claims["hash"] = said["hash"]
        if said.get("value") is not None:
            claims["value_hash"] = value_hash(said["value"])
        return jwt.encode(
            claims, self._key.jwk.key, algorithm=self._key.algorithm, headers={"kid": self._key.id}
        )
