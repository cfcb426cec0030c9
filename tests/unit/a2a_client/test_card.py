"""The card of an agent elsewhere: what is spoken, by whom it is signed, and where it sends to."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from a2a.client.card_resolver import parse_agent_card
from a2a.utils.signing import create_agent_card_signer
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.json_format import MessageToDict

from counterstep.a2a_client.bounded_http import MOST_BYTES, bounded_client
from counterstep.a2a_client.card import fetch_card
from counterstep.a2a_client.failures import RemoteAgentAway, RemoteAgentRefused
from counterstep.a2a_client.remote_terms import RemoteTerms
from counterstep.tests.support.processes.forward_proxy import ForwardProxy

URL = "http://hotel.example"
CARD: dict[str, Any] = {
    "name": "hotel",
    "description": "Books rooms in Zürich.",
    "version": "1",
    "supportedInterfaces": [{"url": f"{URL}/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
    "capabilities": {},
    "defaultInputModes": ["application/json"],
    "defaultOutputModes": ["application/json"],
    "skills": [],
}


async def fetched(answer: Any, status: int = 200, **terms: Any) -> Any:
    """Fetches a card that a server answers with this."""
    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def send(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == f"{URL}/.well-known/agent-card.json"
        return httpx.Response(status, content=content)

    async with httpx.AsyncClient(transport=httpx.MockTransport(send)) as http:
        return await fetch_card(RemoteTerms(**{"url": URL, "headers": {}, **terms}), http)


async def test_a_card_is_left_with_one_interface_that_is_spoken_here() -> None:
    grpc = {"url": "http://hotel.example:50051", "protocolBinding": "GRPC", "protocolVersion": "1.0"}
    rest = {"url": f"{URL}/rest", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0.1"}
    card = await fetched({**CARD, "supportedInterfaces": [grpc, rest, *CARD["supportedInterfaces"]]})
    assert [one.url for one in card.supported_interfaces] == [f"{URL}/rest"]


OLD = {"name": "h", "url": f"{URL}/a2a", "protocolVersion": "0.3.0", "preferredTransport": "JSONRPC"}


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (b"<html>", 200, "is not an agent card"),
        ([1], 200, "is not an agent card"),
        ({"supportedInterfaces": 3}, 200, "is not an agent card"),
        ({}, 404, "answers with 404, and not with a card"),
        (OLD, 200, "speaks A2A 0.3.0, which is too old; 1.0 or later is spoken here"),
        ({"name": "h", "protocolVersion": "1.0"}, 200, "it has no supportedInterfaces"),
        ({**CARD, "supportedInterfaces": []}, 200, "offers no interface; JSONRPC and HTTP+JSON of A2A 1.x"),
        (
            {
                **CARD,
                "supportedInterfaces": [
                    {"url": URL, "protocolBinding": "GRPC", "protocolVersion": "1.0"},
                    {"url": URL, "protocolBinding": "JSONRPC", "protocolVersion": "2.0"},
                ],
            },
            200,
            "offers GRPC 1.0, JSONRPC 2.0; JSONRPC and",
        ),
        (
            {
                **CARD,
                "supportedInterfaces": [
                    {"url": "http://evil.example", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
                ],
            },
            200,
            "sends to http://evil.example, another server, which would get the credentials",
        ),
    ],
)
async def test_a_card_that_cannot_be_used_is_one_sentence(answer: Any, status: int, told: str) -> None:
    with pytest.raises(RemoteAgentRefused) as refused:
        await fetched(answer, status)
    assert told in str(refused.value)
    assert str(refused.value).startswith(f"{URL}/.well-known/agent-card.json")


async def test_an_agent_that_is_away_may_come_back() -> None:
    with pytest.raises(RemoteAgentAway, match="answers with 503"):
        await fetched({}, 503)
    async with bounded_client({}) as http:
        with pytest.raises(RemoteAgentAway, match="cannot be read"):
            await fetch_card(RemoteTerms(url="http://127.0.0.1:1", headers={}), http)


async def test_the_same_server_may_be_written_otherwise() -> None:
    other = {"url": "HTTP://Hotel.Example:80/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    card = await fetched({**CARD, "supportedInterfaces": [other]})
    assert len(card.supported_interfaces) == 1


# --- credentials

SCHEMES: dict[str, Any] = {
    "bearer": {"httpAuthSecurityScheme": {"scheme": "bearer"}},
    "key": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}},
    "query": {"apiKeySecurityScheme": {"location": "query", "name": "key"}},
    "tls": {"mtlsSecurityScheme": {}},
}


@pytest.mark.parametrize(
    ("wanted", "headers", "told"),
    [
        ([["bearer"]], {}, "asks for Authorization; declare it in headers"),
        ([["key"], ["bearer"]], {"Other": "x"}, "asks for X-Key or Authorization; declare"),
        ([["key", "bearer"]], {"x-key": "x"}, "asks for Authorization and X-Key; declare"),
        ([["query"], ["tls"]], {}, "asks for 'key' in the query (not known here) or 'tls' (not known here)"),
        ([["nothing"]], {}, "asks for 'nothing' (not known here)"),
        ([["key"], ["bearer"]], {"authorization": "x"}, None),
        ([["key", "bearer"]], {"X-KEY": "x", "Authorization": "x"}, None),
        ([["bearer"], []], {}, None),
    ],
)
async def test_what_a_card_asks_for_has_to_be_declared(
    wanted: list[list[str]], headers: dict[str, str], told: str | None
) -> None:
    asked: Any = [{"schemes": {name: {"list": []} for name in names}} for names in wanted]
    card = {**CARD, "securitySchemes": SCHEMES, "securityRequirements": asked}
    if told is None:
        assert (await fetched(card, headers=headers)).name == "hotel"
        return
    with pytest.raises(RemoteAgentRefused) as refused:
        await fetched(card, headers=headers)
    assert told in str(refused.value)


# --- signatures


def signed(key: Any, kid: str = "k", **changes: Any) -> dict[str, Any]:
    """Returns the card signed with a key, and changed afterwards."""
    header: Any = {"kid": kid, "alg": "ES256", "jku": None, "typ": "JOSE"}
    card = create_agent_card_signer(key, header)(parse_agent_card(json.loads(json.dumps(CARD))))
    return {**MessageToDict(card), **changes}


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Any, str]:
    """A private key, and the file with its public half."""
    private = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private.public_key()))
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [{**public, "kid": "k", "alg": "ES256", "use": "sig"}]}))
    return private, str(file)


async def test_a_card_that_is_signed_by_a_known_key_is_taken(keys: tuple[Any, str]) -> None:
    private, file = keys
    card = await fetched(signed(private), keys=file, require_signature=True)
    assert card.name == "hotel"


async def test_a_card_whose_signature_fails_is_refused(keys: tuple[Any, str]) -> None:
    private, file = keys
    other = ec.generate_private_key(ec.SECP256R1())
    for forged in (
        signed(private, description="Books rooms for free."),
        signed(other),
        signed(private, kid="another"),
        {**signed(private), "signatures": [{"protected": "x", "signature": "y"}]},
        {**signed(private), "signatures": [{"protected": "eyJraWQiOltdfQ", "signature": "y"}]},  # kid: []
    ):
        with pytest.raises(RemoteAgentRefused, match="is not by one of the keys in"):
            await fetched(forged, keys=file)


async def test_a_card_that_is_not_signed_is_taken_unless_it_has_to_be(keys: tuple[Any, str]) -> None:
    _, file = keys
    assert (await fetched(CARD, keys=file)).name == "hotel"
    with pytest.raises(RemoteAgentRefused, match="is not signed, and its signature is required"):
        await fetched(CARD, keys=file, require_signature=True)


async def test_keys_that_cannot_be_read_are_told(keys: tuple[Any, str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    with pytest.raises(RemoteAgentRefused, match="is not a JWKS"):
        await fetched(signed(keys[0]), keys=str(bad))


# --- what is read


@contextmanager
def flooding(headers: dict[str, str], parts: Iterable[bytes]) -> Iterator[RemoteTerms]:
    """A server that answers with this, and does not care for what was asked."""

    class Flood(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for header in headers.items():
                self.send_header(*header)
            self.end_headers()
            with suppress(OSError):
                for part in parts:
                    self.wfile.write(part)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flood)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield RemoteTerms(url=f"http://127.0.0.1:{server.server_address[1]}", headers={})
    finally:
        server.shutdown()
        server.server_close()


async def test_an_answer_that_floods_is_cut_off() -> None:
    flood = (b"x" * 100_000 for _ in range(MOST_BYTES // 100_000 + 50))
    with flooding({}, flood) as terms:
        async with bounded_client({}) as client:
            with pytest.raises(RemoteAgentRefused, match="more than 8000000 bytes in one answer"):
                await fetch_card(terms, client)


async def test_an_answer_that_unpacks_to_a_flood_is_not_unpacked() -> None:
    bomb = gzip.compress(b" " * MOST_BYTES * 3)
    with flooding({"Content-Encoding": "gzip"}, [bomb]) as terms:
        async with bounded_client({}) as client:
            with pytest.raises(RemoteAgentRefused, match="it answers in 'gzip', which was not asked for"):
                await fetch_card(terms, client)


async def test_an_agent_is_asked_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ForwardProxy().serving() as proxy, flooding({}, [b"x" * (MOST_BYTES + 1)]) as terms:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        there = RemoteTerms(url=terms.url.replace("127.0.0.1", "hotel.example"), headers={})
        async with bounded_client({}) as client:
            with pytest.raises(RemoteAgentRefused, match="more than 8000000 bytes in one answer"):
                await fetch_card(there, client)
        assert proxy.hosts == ["hotel.example"]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with bounded_client({}) as client:
            with pytest.raises(RemoteAgentRefused, match="more than 8000000 bytes in one answer"):
                await fetch_card(terms, client)
        assert proxy.hosts == ["hotel.example"]
