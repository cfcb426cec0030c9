"""A private key that signs, read from a JWK; its public half is for those who verify."""

from __future__ import annotations

import json
from typing import Any, Final

import jwt

from ..saga.errors import DefinitionError

_PRIVATE: Final = "d"


class SigningKey:
    """A private key.

    Attributes:
        jwk: The key.
        id: By which its public half is found.
        algorithm: With which it signs.
        public_keys: The public half as a JWKS.
    """

    def __init__(self, text: str) -> None:
        """Reads the key.

        Args:
            text: A private JWK (RSA, EC or Ed25519) with a `kid`.

        Raises:
            DefinitionError: It is not one.
        """
        try:
            document = json.loads(text)
            self.jwk = jwt.PyJWK.from_dict(document)
        except (ValueError, jwt.PyJWTError, TypeError, AttributeError) as error:
            raise DefinitionError(f"the signing key is not a private JWK: {error}") from None
        if not isinstance(document, dict) or document.get("kty") not in ("RSA", "EC", "OKP"):
            raise DefinitionError(
                "the signing key has to be an RSA, EC or Ed25519 key; others know a shared one too"
            )
        if _PRIVATE not in document:
            raise DefinitionError("the signing key is a public key; only the private one can sign")
        if not self.jwk.key_id:
            raise DefinitionError("the signing key has no `kid`, by which its public half is found")
        self.id: str = self.jwk.key_id
        self.algorithm = self.jwk.algorithm_name
        self.public_keys = {"keys": [_public(self.jwk)]}


def _public(key: jwt.PyJWK) -> dict[str, Any]:
    document = json.loads(key.Algorithm.to_jwk(key.key.public_key()))
    return {**document, "kid": key.key_id, "alg": key.algorithm_name, "use": "sig"}
