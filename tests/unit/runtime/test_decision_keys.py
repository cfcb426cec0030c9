"""Keys of signed decisions: which are taken, which signatures count, and how they stay fresh."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from counterstep.runtime import decision_keys
from counterstep.runtime.decision_keys import DecisionKeys, KeySet, serving_keys
from counterstep.saga.errors import DefinitionError
from counterstep.saga.people.signatures import KEYS
from counterstep.tests.support.people.signing import Signer, jwk, keys

CLAIMS = {"sub": "ann", "iat": 1, "exp": 2, "jti": "1", "task": "t", "action": "approve"}


async def read(source: Path, audience: str | None = None) -> DecisionKeys:
    found = DecisionKeys(str(source), audience)
    await found.read()
    return found


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "PS256"])
async def test_asymmetric_signatures_count(tmp_path: Path, algorithm: str) -> None:
    key = keys()[algorithm]
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [jwk(key, "k")]}))
    token = jwt.encode(CLAIMS, key, algorithm=algorithm, headers={"kid": "k"})
    assert (await read(file)).claims(token)["sub"] == "ann", "times are compared elsewhere"


async def test_what_is_signed_otherwise_does_not_count(tmp_path: Path) -> None:
    signer, other = Signer(tmp_path), keys()["ES256"]
    known = await read(signer.file)

    def why(key: Any, algorithm: str, **headers: Any) -> str:
        with pytest.raises(ValueError) as caught:
            known.claims(jwt.encode(CLAIMS, key, algorithm=algorithm, headers={"kid": "k1", **headers}))
        return str(caught.value)

    assert "signature is wrong" in why(other, "ES256")
    assert "'none'" in why(None, "none")
    assert "'HS256'" in why("x" * 40, "HS256")
    assert "not for RS256" in why(keys()["RS256"], "RS256")
    assert "'k9' is not known" in why(signer.key, "ES256", kid="k9")
    for nonsense in ("", "a.b.c", "no token"):
        with pytest.raises(ValueError, match="not a signed JWT"):
            known.claims(nonsense)


async def test_the_audience_has_to_be_the_workers(tmp_path: Path) -> None:
    signer = Signer(tmp_path)
    to_us, to_others = (signer.token("t", {"step": "p", "action": "a"}, aud=name) for name in ("us", "them"))
    to_all = signer.token("t", {"step": "p", "action": "a"})
    ours = await read(signer.file, "us")
    assert ours.claims(to_us)["aud"] == "us"
    with pytest.raises(ValueError, match="another audience"):
        ours.claims(to_others)
    with pytest.raises(ValueError, match="lacks the claim"):
        ours.claims(to_all)
    nobodys = await read(signer.file)
    assert nobodys.claims(to_all)
    with pytest.raises(ValueError, match="is none"):
        nobodys.claims(to_us)


def test_a_key_set_has_public_keys_for_signatures() -> None:
    key = keys()["ES256"]
    public = jwk(key, "k")
    for document, why in [
        ([], "not a JWKS"),
        ({"keys": [1]}, "not a JSON object"),
        ({"keys": [{"kty": "oct", "k": "AAAA"}]}, "secret or private"),
        ({"keys": [{**public, "d": "AAAA"}]}, "secret or private"),
        ({"keys": [{**public, "x": "AAAA"}]}, "cannot be read"),
        ({"keys": []}, "no key with which"),
        ({"keys": [{**public, "use": "enc"}]}, "no key with which"),
        ({"keys": [{**public, "alg": "ES512"}]}, "no key with which"),
    ]:
        with pytest.raises(ValueError, match=why):
            KeySet(document)
    found = KeySet({"keys": [{"kty": "new"}, public]})
    assert found.find("k") is not None
    assert found.find("j") is None
    assert found.find(None) is not None, "there is only one"


async def test_a_new_key_is_looked_for_and_a_lost_file_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_keys, "SOONEST", 0.05)
    old = Signer(tmp_path)
    async with serving_keys(str(old.file), None):
        assert KEYS.keys is not None
        new = Signer(tmp_path, "k2")
        token = new.token("t", {"step": "p", "action": "a"})
        for _ in range(100):
            try:
                KEYS.keys.claims(token)
                break
            except ValueError as error:
                assert "'k2' is not known" in str(error)
                await asyncio.sleep(0.05)
        else:
            raise AssertionError("nobody has read the keys again")
        new.file.unlink()
        with pytest.raises(ValueError, match="'k3' is not known"):
            KEYS.keys.claims(jwt.encode(CLAIMS, new.key, algorithm="ES256", headers={"kid": "k3"}))
        await asyncio.sleep(0.2)
        assert KEYS.keys.claims(token)
    assert KEYS.keys is None


async def test_keys_that_cannot_be_read_stop_the_worker(tmp_path: Path) -> None:
    for source, why in [
        (str(tmp_path / "none.json"), "No such file"),
        ("http://127.0.0.1:1/keys", "cannot be read"),
    ]:
        with pytest.raises(DefinitionError, match=f"COUNTERSTEP_DECISION_KEYS: .*{why}"):
            async with serving_keys(source, None):
                pass
