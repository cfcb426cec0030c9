"""Who may see the inbox and send its forms, and what it says where it can show nothing. Needs no server."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any, NoReturn

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from starlette.testclient import TestClient
from temporalio.client import Client
from temporalio.service import ConnectConfig, RPCError, RPCStatusCode, ServiceClient

from counterstep.inbox.app import make_app
from counterstep.inbox.inbox_config import InboxConfig, LocalSignIn, ProxySignIn, unsafe
from counterstep.inbox.person import SignedIn
from counterstep.inbox.signing import DecisionSigner
from counterstep.saga.errors import DefinitionError
from counterstep.tests.support.pages.inbox_page import InboxPage

SECRET = "s" * 32
ANN = SignedIn("ann", ("finance",))
LOCAL = LocalSignIn({"ann": (ANN, "right"), "bob": (SignedIn("bob"), "other")})
PROXY = ProxySignIn((ipaddress.ip_network("10.0.0.0/8"),))
URL = "https://inbox.example.com"


def config(sign_in: LocalSignIn | ProxySignIn = LOCAL, url: str | None = None, **more: object) -> InboxConfig:
    return InboxConfig("127.0.0.1", sign_in, SECRET, url, **more)  # type: ignore[arg-type]


def browser(config: InboxConfig, peer: str = "127.0.0.1") -> TestClient:
    """A browser of an inbox whose Temporal server is away."""

    return TestClient(
        make_app(Client(ServerIsAway(ConnectConfig(target_host="127.0.0.1:1"))), config),
        base_url=config.url or "http://inbox.test",
        client=(peer, 50000),
        follow_redirects=False,
        raise_server_exceptions=False,
    )


def sign_in(page: TestClient, name: str = "ann", password: str = "right", **headers: str) -> str:
    """Signs in, and returns where that leads."""
    form = InboxPage(page.get("/sign-in?next=/tasks/a%23b").text).form("")
    sent = form.filled("", {"name": name, "password": password})
    answer = page.post("/sign-in", data=sent, headers={"Origin": str(page.base_url).rstrip("/"), **headers})
    return answer.headers.get("location", str(answer.status_code))


class ServerIsAway(ServiceClient):
    """What the SDK is once its server has gone."""

    async def _rpc_call(self, *args: Any, **options: Any) -> NoReturn:
        raise RPCError("connection refused", RPCStatusCode.UNAVAILABLE, b"")

    @property
    def worker_service_client(self) -> NoReturn:
        raise NotImplementedError

    def update_rpc_metadata(self, metadata: Any) -> NoReturn:
        raise NotImplementedError

    def update_api_key(self, api_key: str | None) -> NoReturn:
        raise NotImplementedError


# --- a local login


def test_nobody_sees_anything_before_signing_in() -> None:
    page = browser(config())
    for path in ("/", "/tasks/a?step=b", "/find?id=a"):
        answer = page.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in?next=%2F")
    assert page.post("/tasks/a", data={"action": "approve"}).status_code == 401


def test_a_password_signs_in_and_nothing_else_does() -> None:
    page = browser(config())
    assert sign_in(page, password="wrong") == "403"
    assert sign_in(page, name="eve") == "403"
    assert sign_in(page, name="eve", password="") == "403"
    assert sign_in(page, name="bob") == "403", "that is ann's password"
    assert sign_in(page) == "/tasks/a#b"
    cookie = page.get("/").headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie


@pytest.mark.parametrize(
    "next_", ["//evil.example", "https://evil.example", "/\\evil", "javascript:1", "/\n"]
)
def test_nobody_is_led_elsewhere(next_: str) -> None:
    page = browser(config())
    form = InboxPage(page.get("/sign-in", params={"next": next_}).text).form("")
    assert form.fields["next"] == "/"
    sent = {**form.filled("", {"name": "ann", "password": "right"}), "next": next_}
    answer = page.post("/sign-in", data=sent, headers={"Origin": "http://inbox.test"})
    assert answer.headers["location"] == "/"


def test_signing_out_ends_the_session() -> None:
    page = browser(config())
    sign_in(page)
    form = InboxPage(page.get("/").text)
    assert form.forms[0].action == "/sign-out"
    page.post("/sign-out", data=form.forms[0].filled("", {}), headers={"Origin": "http://inbox.test"})
    assert page.get("/").status_code == 303


# --- forms


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
        ({"Referer": "http://evil.example/http://inbox.test/"}, 403),
        ({"Referer": "http://inbox.test/"}, 303),
        ({"Origin": "http://inbox.test"}, 303),
    ],
)
def test_a_form_counts_only_from_a_page_of_the_inbox(headers: dict[str, str], status: int) -> None:
    page = browser(config())
    form = InboxPage(page.get("/sign-in").text).form("").filled("", {"name": "ann", "password": "right"})
    assert page.post("/sign-in", data=form, headers=headers).status_code == status


def test_a_form_of_another_session_or_person_does_not_count() -> None:
    own, other = browser(config()), browser(config())
    sign_in(own)
    sign_in(other, "bob", "other")
    token = InboxPage(other.get("/").text).forms[0].fields["csrf"]
    origin = {"Origin": "http://inbox.test"}
    for csrf in (token, "", "x"):
        answer = own.post("/sign-out", data={"csrf": csrf}, headers=origin)
        assert answer.status_code == 403
        assert "another session" in answer.text
    assert own.get("/").status_code == 503, "still signed in"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"x" * 2_000_001, "application/x-www-form-urlencoded", 413),
        (b"csrf=%ff", "application/x-www-form-urlencoded", 400),
        (b"\xff=1", "application/x-www-form-urlencoded", 400),
        (b"csrf=a&csrf=b", "application/x-www-form-urlencoded", 400),
        (b"&a=1" * 3000, "application/x-www-form-urlencoded", 400),
        (b'{"csrf": 1}', "application/json", 415),
        (b"", "", 415),
    ],
)
def test_what_is_no_form_is_refused_with_a_sentence(body: bytes, kind: str, status: int) -> None:
    page = browser(config())
    headers = {"Origin": "http://inbox.test", "Content-Type": kind}
    answer = page.post("/sign-in", content=body, headers=headers)
    assert answer.status_code == status
    assert "Traceback" not in answer.text and 'class="problem"' in answer.text


def test_nothing_is_done_by_a_get() -> None:
    page = browser(config())
    sign_in(page)
    assert page.get("/sign-out").status_code == 405
    for method in ("put", "delete", "patch"):
        assert getattr(page, method)("/tasks/a").status_code == 405


# --- a proxy


def test_the_header_of_a_proxy_is_believed_from_its_address_only() -> None:
    said = {"X-Forwarded-User": "ann"}
    assert browser(config(PROXY, URL), "10.1.2.3").get("/", headers=said).status_code == 503, "no Temporal"
    assert browser(config(PROXY, URL), "::ffff:10.1.2.3").get("/", headers=said).status_code == 503
    for peer in ("127.0.0.1", "192.0.2.1", "::1", "testclient", "::ffff:192.0.2.1"):
        answer = browser(config(PROXY, URL), peer).get("/", headers=said)
        assert answer.status_code == 403
        assert "ann" not in answer.text
    forwarded = {**said, "X-Forwarded-For": "10.1.2.3", "Forwarded": "for=10.1.2.3"}
    assert browser(config(PROXY, URL), "192.0.2.1").get("/", headers=forwarded).status_code == 403


def test_who_the_proxy_names_is_signed_in_and_two_names_are_nobody() -> None:
    page = browser(config(PROXY, URL), "10.0.0.1")
    assert page.get("/").status_code == 401
    assert "X-Forwarded-User" in page.get("/").text
    name = [(b"X-Forwarded-User", "Zoë <b>".encode())]
    assert "Zoë &lt;b&gt;" in page.get("/", headers=name).text
    twice = [("X-Forwarded-User", "ann"), ("X-Forwarded-User", "bob")]
    assert page.get("/", headers=twice).status_code == 400
    assert page.get("/", headers={"X-Forwarded-User": "a" * 201}).status_code == 400


def test_over_tls_the_cookie_is_for_tls_and_for_this_host() -> None:
    page = browser(config(LOCAL, URL))
    cookie = page.get("/sign-in").headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert {"secure", "httponly", "path=/"} <= set(cookie.lower().split("; "))
    assert sign_in(page) == "/tasks/a#b", "the origin is that of the address that people use"
    assert sign_in(browser(config(LOCAL, URL)), Origin="http://inbox.example.com") == "403"


@pytest.mark.parametrize(
    ("served", "anywhere", "why"),
    [
        (InboxConfig("0.0.0.0", LOCAL, SECRET), False, "--host"),
        (InboxConfig("::", LOCAL, SECRET), False, "--host"),
        (InboxConfig("inbox.example.com", LOCAL, SECRET), False, "--host"),
        (InboxConfig("127.0.0.1", ProxySignIn(()), SECRET, URL), False, "TRUSTED_PROXIES"),
        (InboxConfig("0.0.0.0", ProxySignIn(()), SECRET, URL), True, "TRUSTED_PROXIES"),
        (
            InboxConfig("0.0.0.0", ProxySignIn((ipaddress.ip_network("0.0.0.0/0"),)), SECRET, URL),
            True,
            "all addresses",
        ),
        (InboxConfig("0.0.0.0", PROXY, SECRET), False, "INBOX_URL"),
    ],
)
def test_what_is_unsafe_is_not_served(served: InboxConfig, anywhere: bool, why: str) -> None:
    (fault,) = unsafe(served, anywhere=anywhere)
    assert why in str(fault)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.3.4.5"])
def test_what_is_safe_is_served(host: str) -> None:
    assert unsafe(InboxConfig(host, LOCAL, SECRET), anywhere=False) == []
    assert unsafe(InboxConfig("0.0.0.0", LOCAL, SECRET), anywhere=True) == []
    assert unsafe(InboxConfig("0.0.0.0", PROXY, SECRET, URL), anywhere=False) == []


# --- what browsers may do


@pytest.mark.parametrize("path", ["/sign-in", "/", "/nowhere", "/static/style.css", "/tasks/x"])
def test_every_response_forbids_what_no_page_needs(path: str) -> None:
    page = browser(config())
    sign_in(page)
    headers = page.get(path).headers
    rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert rules.pop("default-src") == "'none'"
    assert set(rules) >= {"form-action", "base-uri", "frame-ancestors"}
    assert set(rules.values()) <= {"'self'", "'none'"}, "nothing inline, and nothing from elsewhere"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == ("no-cache" if "static" in path else "no-store")


def test_no_page_has_what_its_policy_forbids() -> None:
    page = InboxPage(browser(config()).get("/sign-in").text)
    for tag, given in page.tags:
        assert not [name for name in given if name.startswith("on") or name == "style"], (tag, given)
        assert tag != "style" and (tag != "script" or given.get("src", "").startswith("/static/"))  # type: ignore[union-attr]


def test_every_field_has_a_label_and_a_page_has_a_language() -> None:
    page = InboxPage(browser(config()).get("/sign-in").text)
    labelled = {given["for"] for tag, given in page.tags if tag == "label"}
    fields = [
        g for tag, g in page.tags if tag in ("input", "textarea", "select") and g.get("type") != "hidden"
    ]
    assert fields and {given["id"] for given in fields} <= labelled
    assert dict(page.tags)["html"]["lang"] == "en"
    assert "width=device-width" in str(page.tags)


# --- faults


@pytest.mark.parametrize("path", ["/", "/tasks/some-task", "/tasks/a%2Fb%23c?step=d"])
def test_without_a_temporal_server_a_page_says_so(path: str) -> None:
    page = browser(config())
    sign_in(page)
    answer = page.get(path)
    assert answer.status_code == 503
    assert "The Temporal server does not answer" in answer.text


def test_a_page_that_is_not_there() -> None:
    answer = browser(config()).get("/wp-admin.php")
    assert answer.status_code == 404
    assert "no such page" in answer.text


# --- signed decisions


def test_what_is_signed_says_exactly_what_was_decided() -> None:
    document = {**json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate())), "kid": "inbox-1"}
    signer = DecisionSigner(json.dumps(document))
    answer = browser(config(signer=signer)).get("/.well-known/jwks.json")
    (public,) = answer.json()["keys"]
    assert "d" not in public and public["kid"] == "inbox-1"
    said = {"step": "p", "action": "edit", "hash": "h", "value": {"b": 1, "a": 2.0}, "note": "x"}
    token = signer.token(ANN, "task-1", said, now=1_000_000_000)
    assert jwt.get_unverified_header(token)["kid"] == "inbox-1"
    claims = jwt.decode(token, jwt.PyJWK(public).key, ["EdDSA"], options={"verify_exp": False})
    assert re.fullmatch(r"[0-9a-f]{32}", claims.pop("value_hash"))
    assert len(claims.pop("jti")) == 36
    assert claims == {
        "sub": "ann",
        "roles": ["finance"],
        "iat": 1_000_000_000,
        "exp": 1_000_000_120,
        "task": "task-1",
        "step": "p",
        "action": "edit",
        "hash": "h",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nonsense", "not a private JWK"),
        ("[]", "not a private JWK"),
        ('{"kty": "oct", "k": "c2VjcmV0", "kid": "x"}', "a shared one"),
        (
            '{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}',
            "public key",
        ),
    ],
)
def test_a_signing_key_that_cannot_sign_is_refused(text: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        DecisionSigner(text)


def test_without_a_signing_key_no_key_is_published() -> None:
    assert browser(config()).get("/.well-known/jwks.json").json() == {"keys": []}
