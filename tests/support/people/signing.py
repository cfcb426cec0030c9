"""Signs decisions as an identity provider would, and keeps the public keys in a JWKS file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from counterstep.saga.people.signatures import value_hash


def keys() -> dict[str, Any]:
    """Makes a private key of each kind, by the algorithm that it signs with."""
    large = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        "RS256": large,
        "PS256": large,
    }


def jwk(key: Any, kid: str) -> dict[str, Any]:
    """The public half of a key."""
    public = key.public_key()
    algorithm: Any = OKPAlgorithm
    if isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        algorithm = RSAAlgorithm if isinstance(public, rsa.RSAPublicKey) else ECAlgorithm
    return {**json.loads(algorithm.to_jwk(public)), "kid": kid}


class Signer:
    """Whoever signs people in: one key, and the file in which workers find its public half."""

    def __init__(self, folder: Path, kid: str = "k1") -> None:
        self.kid = kid
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / "keys.json"
        self.file.write_text(json.dumps({"keys": [jwk(self.key, kid)]}))

    def token(self, task: str, said: dict[str, Any], /, *roles: str, sub: str = "ann", **claims: Any) -> str:
        """Signs one decision; `claims` change what is claimed, and None leaves a claim out."""
        now = int(time.time())
        action = said.get("action", "amend")
        whole = {
            "sub": sub,
            "roles": list(roles),
            "iat": now,
            "exp": now + 300,
            "jti": str(uuid4()),
            "task": task,
            "step": said.get("step", ""),
            "action": action,
            "hash": said.get("hash"),
            "value_hash": None if said.get("value") is None else value_hash(said["value"]),
            **claims,
        }
        kept = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(kept, self.key, algorithm="ES256", headers={"kid": self.kid})

    def signed(self, task: str, said: dict[str, Any], /, *roles: str, **claims: Any) -> dict[str, Any]:
        """What is said, with a token."""
        return {**said, "token": self.token(task, said, *roles, **claims)}
