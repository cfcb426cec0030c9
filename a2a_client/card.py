"""The card of an agent elsewhere: fetched, checked, and its signature verified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt
from a2a.client.card_resolver import parse_agent_card
from a2a.types import AgentCard
from a2a.utils.signing import create_signature_verifier

from .credentials import check_credentials
from .failures import RemoteAgentAway, RemoteAgentFailed, RemoteAgentRefused
from .remote_terms import RemoteTerms

CARD: Final = "/.well-known/agent-card.json"
_ALGORITHMS: Final = ["ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA"]
_BINDINGS: Final = ("JSONRPC", "HTTP+JSON")


async def fetch_card(terms: RemoteTerms, http: httpx.AsyncClient) -> AgentCard:
    """Fetches a card, and leaves only an interface in it that is spoken here.

    Args:
        terms: Of the agent.
        http: Sends the request.

    Raises:
        RemoteAgentAway: It does not answer.
        RemoteAgentRefused: It cannot be used, and why, in one sentence.
    """
    where = terms.url.rstrip("/") + CARD
    try:
        answer = await http.get(where)
    except httpx.HTTPError as error:
        raise RemoteAgentAway(f"{where} cannot be read: {error or type(error).__name__}") from None
    except RemoteAgentFailed as error:
        raise RemoteAgentRefused(f"{where} cannot be read: {error}") from None
    if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise RemoteAgentAway(f"{where} answers with {answer.status_code}")
    if answer.status_code != httpx.codes.OK:
        raise RemoteAgentRefused(f"{where} answers with {answer.status_code}, and not with a card")
    try:
        said = json.loads(answer.content)
        is_old = "supportedInterfaces" not in said
        version = str(said.get("protocolVersion") or "0.3")[:20]
        card = parse_agent_card(said)
    except Exception:  # whatever is in it that is not a card
        raise RemoteAgentRefused(f"{where} is not an agent card") from None
    if is_old and not version.startswith("0"):
        raise RemoteAgentRefused(f"{where} is not a card of A2A 1.0: it has no supportedInterfaces")
    if is_old:
        raise RemoteAgentRefused(
            f"{where} speaks A2A {version}, which is too old; 1.0 or later is spoken here"
        )
    _verify(card, terms, where)
    check_credentials(card, terms, where)
    return _with_one_interface(card, terms, where)


def _verify(card: AgentCard, terms: RemoteTerms, where: str) -> None:
    if not card.signatures and terms.require_signature:
        raise RemoteAgentRefused(f"{where} is not signed, and its signature is required")
    if terms.keys is None or not card.signatures:
        return
    try:
        keys = {key.key_id: key for key in jwt.PyJWKSet.from_json(Path(terms.keys).read_text()).keys}
    except (OSError, ValueError, jwt.PyJWTError) as error:
        raise RemoteAgentRefused(f"keys: {terms.keys} is not a JWKS: {error}") from None

    def key_of(kid: str | None, _: str | None) -> Any:
        if kid not in keys:  # an address in the card says nothing: whoever forges it names their own
            raise jwt.PyJWTError(f"there is no key {kid!r}")
        return keys[kid]

    try:
        create_signature_verifier(key_of, _ALGORITHMS)(card)
    except Exception:  # the library says no in its own words, and chokes on headers that are made for that
        raise RemoteAgentRefused(
            f"the signature of {where} is not by one of the keys in {terms.keys}"
        ) from None


def _with_one_interface(card: AgentCard, terms: RemoteTerms, where: str) -> AgentCard:
    spoken = [
        interface
        for interface in card.supported_interfaces
        if interface.protocol_binding in _BINDINGS and interface.protocol_version.split(".")[0] == "1"
    ]
    if not spoken:
        found = ", ".join(
            f"{one.protocol_binding} {one.protocol_version}" for one in card.supported_interfaces
        )
        known = " and ".join(_BINDINGS)
        raise RemoteAgentRefused(
            f"{where} offers {found or 'no interface'}; {known} of A2A 1.x are spoken here"
        )
    own = _server(terms.url)
    here = [one for one in spoken if _server(one.url) == own]
    if not here:
        other = f"{spoken[0].url}, another server, which would get the credentials"
        raise RemoteAgentRefused(f"{where} sends to {other}; name that one as url")
    chosen = AgentCard()
    chosen.CopyFrom(card)
    del chosen.supported_interfaces[:]
    chosen.supported_interfaces.append(here[0])
    return chosen


def _server(address: str) -> tuple[str, str | None, int | None] | None:
    """Returns what of an address says who gets the credentials; None for what is not an address."""
    try:
        parts = urlsplit(address)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
