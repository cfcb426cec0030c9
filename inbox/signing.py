"""Signs what people decide, for workers that take signed decisions only (`COUNTERSTEP_DECISION_KEYS`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import jwt

from ..saga.errors import DefinitionError
from ..saga.people.signatures import value_hash
from .person import SignedIn

LIFETIME: Final = 120
"""Seconds for which a token counts: it is sent at once."""

_PRIVATE: Final = "d"


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
        try:
            document = json.loads(text)
            self._key = jwt.PyJWK.from_dict(document)
        except (ValueError, jwt.PyJWTError, TypeError, AttributeError) as error:
            raise DefinitionError(f"the signing key is not a private JWK: {error}") from None
        if not isinstance(document, dict) or document.get("kty") not in ("RSA", "EC", "OKP"):
            raise DefinitionError(
                "the signing key has to be an RSA, EC or Ed25519 key; others know a shared one too"
            )
        if _PRIVATE not in document:
            raise DefinitionError("the signing key is a public key; the inbox signs with the private one")
        if not self._key.key_id:
            raise DefinitionError("the signing key has no `kid`, by which workers find its public half")
        self._audience = audience
        self.public_keys = {"keys": [_public(self._key)]}

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
            claims, self._key.key, algorithm=self._key.algorithm_name, headers={"kid": self._key.key_id}
        )


def _public(key: jwt.PyJWK) -> dict[str, Any]:
    document = json.loads(key.Algorithm.to_jwk(key.key.public_key()))
    return {**document, "kid": key.key_id, "alg": key.algorithm_name, "use": "sig"}
