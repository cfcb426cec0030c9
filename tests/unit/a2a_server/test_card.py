"""The agent card, and its signature."""

from __future__ import annotations

import json

import jwt
import pytest
from a2a.utils.signing import InvalidSignaturesError, create_signature_verifier
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.json_format import MessageToDict

from counterstep.a2a_server.callers import NamedTokens
from counterstep.a2a_server.card import INPUTS, agent_card
from counterstep.runtime.signing_key import SigningKey
from counterstep.saga.errors import DefinitionError
from counterstep.saga.spec.task_spec import TaskSpec

SCHEMA = {"type": "object", "required": ["what"], "properties": {"what": {"type": "string"}}}
TASKS = {
    "shop.order": TaskSpec.model_validate(
        {"name": "order", "goal": "Buy it.", "input": SCHEMA, "steps": [{"id": "a", "tool": "b.c"}]}
    )
}
URL = "https://agents.example/shop"


def private_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return json.dumps({**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key)), "kid": "k1"})


def test_each_task_is_a_skill_with_its_schema() -> None:
    card = agent_card(TASKS, URL, callers=None, push=False, key=None)
    [skill] = card.skills
    assert (skill.id, skill.name) == ("shop.order", "order")
    assert skill.description.startswith("Buy it. Its input is JSON with what.")
    [extension] = card.capabilities.extensions
    assert extension.uri == INPUTS
    assert MessageToDict(extension.params) == {"shop.order": SCHEMA}
    offered = [(one.url, one.protocol_binding, one.protocol_version) for one in card.supported_interfaces]
    assert offered == [(URL, "JSONRPC", "1.0"), (URL, "HTTP+JSON", "1.0")]
    assert not card.security_requirements and not card.signatures


def test_a_card_tells_how_callers_are_known() -> None:
    card = agent_card(TASKS, URL, callers=NamedTokens({}), push=True, key=None)
    assert card.security_schemes["bearer"].http_auth_security_scheme.scheme == "Bearer"
    assert list(card.security_requirements[0].schemes) == ["bearer"]
    assert card.capabilities.push_notifications


def test_a_signed_card_is_verified_with_the_served_key_and_a_changed_one_is_not() -> None:
    key = SigningKey(private_key())
    card = agent_card(TASKS, URL, callers=None, push=False, key=key)
    public = jwt.PyJWK.from_dict(key.public_keys["keys"][0])
    assert "d" not in key.public_keys["keys"][0]
    verify = create_signature_verifier(lambda kid, jku: public, ["ES256"])
    verify(card)
    card.skills[0].description = "Something else."
    with pytest.raises(InvalidSignaturesError):
        verify(card)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "is not a private JWK"),
        ('{"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256"}', "RSA, EC or Ed25519"),
        (json.dumps(SigningKey(private_key()).public_keys["keys"][0]), "is a public key"),
        (json.dumps({k: v for k, v in json.loads(private_key()).items() if k != "kid"}), "no `kid`"),
    ],
)
def test_a_key_that_cannot_sign_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DefinitionError, match=reason):
        SigningKey(text)
