"""Who may call."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from counterstep.a2a_server.callers import NamedTokens, SignedTokens
from counterstep.runtime.decision_keys import DecisionKeys
from counterstep.saga.errors import DefinitionError


def test_tokens_of_a_file_have_names(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# who may call\nann 0123456789abcdef\n\nbob fedcba9876543210 # since May\n")
    callers = NamedTokens.read(file)
    assert [callers.subject(token) for token in ("0123456789abcdef", "fedcba9876543210")] == ["ann", "bob"]
    assert callers.subject("0123456789abcdeg") is callers.subject("") is None


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["it has no token"]),
        ("ann short\nbob\n", ["line 1 is not a name", "line 2 is not a name"]),
        ("ann 0123456789abcdef\nbob 0123456789abcdef", ["line 2 has the token of ann"]),
    ],
)
def test_all_faults_of_the_file_are_told(tmp_path: Path, text: str, faults: list[str]) -> None:
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(DefinitionError) as told:
        NamedTokens.read(file)
    assert all(fault in str(told.value) for fault in faults)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="No such file"):
        NamedTokens.read(tmp_path / "none")


async def test_a_jwt_counts_for_its_audience_and_its_time(tmp_path: Path) -> None:
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    public = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())), "kid": "k"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [public]}))
    keys = DecisionKeys(str(tmp_path / "jwks.json"), "agents")
    await keys.read()
    callers = SignedTokens(keys)
    now = int(time.time())
    good: dict[str, Any] = {"sub": "ann", "aud": "agents", "iat": now, "exp": now + 60, "jti": "1"}

    def subject(claims: dict[str, Any], signed: Any = key, **header: Any) -> str | None:
        token = jwt.encode(claims, signed, algorithm="ES256", headers={"kid": "k", **header})
        return callers.subject(token)

    assert subject(good) == "ann"
    bad = ({"aud": "others"}, {"exp": now - 60}, {"nbf": now + 90}, {"exp": "soon"}, {"sub": ""})
    assert [subject({**good, **change}) for change in bad] == [None] * len(bad)
    assert subject(good, other) is None
    assert subject(good, kid="other") is None
    assert callers.subject("no.jwt") is None
