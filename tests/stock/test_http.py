"""Requests as tools, with undos that are requests, against a real server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from counterstep import Bundle, DefinitionError, NotApplied
from counterstep.stock import HttpRequest, HttpTool
from counterstep.tests.support.processes.forward_proxy import ForwardProxy
from counterstep.tests.support.stock.booking_server import ADDRESS, BookingServer, hotel
from counterstep.tests.support.stock.calls import back, forward

ROME = {"city": "Rome", "nights": 2}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BookingServer]:
    monkeypatch.setenv("COUNTERSTEP_STOCK_DATABASE", f"sqlite:///{tmp_path / 'keys.sqlite'}")
    monkeypatch.setenv("COUNTERSTEP_STOCK_HOSTS", ADDRESS)
    monkeypatch.setenv("COUNTERSTEP_STOCK_HOTEL_SECRET", "s3cret-of-hotel")
    with BookingServer().serving() as site:
        yield site


@pytest.mark.parametrize("is_known", [True, False])
def test_a_request_is_sent_once_and_undone_once(site: BookingServer, is_known: bool) -> None:
    first = forward(hotel, "book", "k", **ROME)
    assert first == {"status": 201, "body": {"id": 1}}
    assert site.bookings == {1: ROME}
    assert forward(hotel, "book", "k", **ROME) == first
    assert site.requests == ["POST /bookings"]
    for _ in range(2):
        back(hotel, "book", "k", ROME, first if is_known else None)
        assert site.bookings == {}
    assert site.requests == ["POST /bookings", "DELETE /bookings/1"]
    with pytest.raises(NotApplied, match="this call has been undone before"):
        forward(hotel, "book", "k", **ROME)
    assert site.bookings == {}


def test_a_request_goes_through_the_proxy_of_the_environment(
    site: BookingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ForwardProxy().serving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        first = forward(hotel, "book", "k", **ROME)
        back(hotel, "book", "k", ROME, first)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        forward(hotel, "book", "other", **ROME)
    assert site.requests == ["POST /bookings", "DELETE /bookings/1", "POST /bookings"]
    assert proxy.hosts == ["127.0.0.1"] * 2


def test_an_undo_that_comes_first_sends_nothing_and_bars_the_call(site: BookingServer) -> None:
    back(hotel, "book", "k", ROME)
    with pytest.raises(NotApplied, match="this call has been undone before"):
        forward(hotel, "book", "k", **ROME)
    assert site.requests == []


def test_what_has_happened_is_undone_also_where_its_key_is_not_kept(
    site: BookingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = forward(hotel, "book", "k", **ROME)
    monkeypatch.setenv("COUNTERSTEP_STOCK_DATABASE", f"sqlite:///{tmp_path / 'other.sqlite'}")
    for _ in range(2):
        back(hotel, "book", "k", ROME, first)
        assert site.bookings == {}
    assert site.requests == ["POST /bookings", "DELETE /bookings/1"]
    with pytest.raises(NotApplied, match="this call has been undone before"):
        forward(hotel, "book", "k", **ROME)


def test_an_answer_that_was_lost_is_found_by_the_key(site: BookingServer) -> None:
    site.fails_once.add("POST")
    with pytest.raises(RuntimeError, match="the server answered 503"):
        forward(hotel, "book", "k", **ROME)
    assert site.bookings == {1: ROME}
    back(hotel, "book", "k", ROME)
    assert site.bookings == {}
    assert site.requests == ["POST /bookings", "GET /keys/k", "DELETE /bookings/1"]


def test_a_call_that_is_repeated_after_a_lost_answer_has_one_effect(site: BookingServer) -> None:
    site.fails_once.add("POST")
    with pytest.raises(RuntimeError):
        forward(hotel, "book", "k", **ROME)
    assert forward(hotel, "book", "k", **ROME)["body"] == {"id": 1}
    assert site.bookings == {1: ROME}


def test_what_is_gone_already_is_undone(site: BookingServer) -> None:
    forward(hotel, "book", "k", **ROME)
    site.bookings.clear()
    back(hotel, "book", "k", ROME)
    assert site.requests[-1] == "DELETE /bookings/1"


def test_what_the_server_refuses_has_not_happened(site: BookingServer) -> None:
    with pytest.raises(NotApplied, match=r"the server answered 422.*there is no such city"):
        forward(hotel, "book", "k", city="Nowhere", nights=1)
    back(hotel, "book", "k", {"city": "Nowhere", "nights": 1})
    assert site.requests == ["POST /bookings", "GET /keys/k"]


def test_a_refusal_vouches_for_no_request_before_it(
    site: BookingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a reset of the workflow: the same key in a new activity, and the city is full by now."""
    site.fails_once.add("POST")
    with pytest.raises(RuntimeError, match="the server answered 503"):
        forward(hotel, "book", "k", **ROME)
    monkeypatch.setattr(site, "answer", lambda *_: (422, {"error": "it is full"}, {}))
    with pytest.raises(ApplicationError, match=r"422.*what an earlier request has done is unknown") as caught:
        forward(hotel, "book", "k", **ROME)
    assert (caught.value.type, caught.value.non_retryable) == ("OutcomeUnknown", True)
    monkeypatch.undo()
    assert site.bookings == {1: ROME}


@pytest.mark.parametrize("secret", ['pass"wo\\rd/ü', "s3cret\\of-hotel"])
def test_a_credential_comes_back_to_nobody_however_it_is_written(
    site: BookingServer, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    """JSON writes some of its letters in another way."""
    monkeypatch.setenv("COUNTERSTEP_STOCK_HOTEL_SECRET", secret)
    monkeypatch.setattr(site, "answer", lambda *_: (200, {secret: [f"your {secret}"], "n": 1}, {}))
    if secret.isascii():
        assert forward(hotel, "look", "k", path="x")["body"] == {"[redacted]": ["your [redacted]"], "n": 1}
    else:
        with pytest.raises(NotApplied, match=r"headers\.X-Key: it is not one line of plain text") as caught:
            forward(hotel, "look", "k", path="x")
        assert secret not in str(caught.value)


shop = Bundle("shop")
for _name, _type in (("flag", bool), ("number", int), ("any", Any)):
    shop.add(
        HttpTool(
            name=_name,
            description="Reads with a value in address and header.",
            arguments={"value": _type},
            request=HttpRequest(
                method="GET",
                url=f"{ADDRESS}/look/${{{{ arguments.value }}}}?of=${{{{ arguments.value }}}}",
                headers={"X-Key": "${{ arguments.value }}"},
            ),
        )
    )


@pytest.mark.parametrize(
    ("tool", "value", "written"), [("flag", True, "true"), ("number", 7, "7"), ("any", 1.5, "1.5")]
)
def test_values_stand_in_addresses_and_headers_as_in_any_text(
    site: BookingServer, monkeypatch: pytest.MonkeyPatch, tool: str, value: Any, written: str
) -> None:
    seen = []

    def answer(method: str, path: str, headers: dict[str, str], body: Any) -> Any:
        seen.append((path, headers["X-Key"]))
        return 200, None, {}

    monkeypatch.setattr(site, "answer", answer)
    forward(shop, tool, "k", value=value)
    assert seen == [(f"/look/{written}?of={written}", written)]


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, "x" * 70_000, "two\nlines"])
def test_what_cannot_stand_there_is_refused_with_one_sentence_and_nothing_sent(
    site: BookingServer, value: Any
) -> None:
    with pytest.raises(NotApplied) as caught:
        forward(shop, "any", "k", value=value)
    assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)
    assert site.requests == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("elsewhere", "answered with a redirect, and those are not followed"),
        ("large", "more than 500000 bytes"),
    ],
)
def test_redirects_and_floods_are_refused(site: BookingServer, path: str, said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        forward(hotel, "look", "k", path=path)


def test_arguments_lead_to_no_other_path(site: BookingServer) -> None:
    with pytest.raises(NotApplied, match="the server answered 40"):
        forward(hotel, "look", "k", path="../bookings?x=1#y")
    assert site.requests == ["GET /..%2Fbookings%3Fx%3D1%23y"]
    with pytest.raises(NotApplied, match="cannot be a part of a path"):
        forward(hotel, "look", "k", path="..")


def test_a_credential_comes_back_to_nobody(site: BookingServer) -> None:
    assert forward(hotel, "look", "k", path="secret")["body"] == {"your": "[redacted]"}


def test_what_is_not_allowed_is_not_sent(site: BookingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUNTERSTEP_STOCK_HOTEL_SECRET")
    with pytest.raises(NotApplied, match="the credential 'hotel' is not set: COUNTERSTEP_STOCK_HOTEL_SECRET"):
        forward(hotel, "book", "k", **ROME)
    for hosts in ("api.example.com", "http://127.0.0.1:9", ADDRESS.replace("http:", "https:"), ""):
        monkeypatch.setenv("COUNTERSTEP_STOCK_HOSTS", hosts)
        with pytest.raises(NotApplied, match="this worker allows no requests to http://127"):
            forward(hotel, "book", f"to {hosts}", **ROME)
    assert site.requests == []


URL = "https://api.example.com/x"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"request": HttpRequest(method="POST", url=URL)}, "a POST changes something; give undo="),
        (
            {"request": HttpRequest(method="GET", url="https://${{ arguments.host }}/x")},
            "its url must begin with a fixed host",
        ),
        ({"request": HttpRequest(method="GET", url="https://api.example.com")}, ""),
        (
            {"request": HttpRequest(method="GET", url=URL, body={"x": "${{ credentials.hotel }}"})},
            "its body reads 'credentials'",
        ),
        ({"request": HttpRequest(method="GET", url=f"{URL}/${{{{ 1 + }}}}")}, "request: url:"),
        (
            {"request": HttpRequest(method="GET", url=URL, headers={"x": "${{ credential.hotel }}"})},
            "headers: 'credential.hotel': there is no 'credential' to read; did you mean 'credentials'?",
        ),
        (
            {"request": HttpRequest(method="GET", url=f"{URL}/${{{{ kye }}}}")},
            "url: 'kye': there is no 'kye' to read; did you mean 'key'?",
        ),
        (
            {
                "request": HttpRequest(method="POST", url=URL),
                "undo": HttpRequest(method="DELETE", url=f"{URL}/${{{{ output.body.id }}}}"),
            },
            "its undo reads output, which is unknown after a crash; give find=",
        ),
        (
            {"request": HttpRequest(method="GET", url=URL), "undo": HttpRequest(method="DELETE", url=URL)},
            "a GET only reads",
        ),
        # What would else be found by the undo.
        (
            {
                "arguments": {"city": str},
                "request": HttpRequest(method="POST", url=URL),
                "undo": HttpRequest(method="DELETE", url=f"{URL}/${{{{ arguments.cty }}}}"),
            },
            "undo: its url reads arguments.cty, and there is no 'cty'; did you mean 'city'?",
        ),
        (
            {
                "request": HttpRequest(method="POST", url=URL),
                "undo": HttpRequest(method="DELETE", url=f"{URL}/${{{{ output.id }}}}"),
                "find": HttpRequest(method="GET", url=f"{URL}/${{{{ key }}}}"),
            },
            "undo: its url reads output.id, and there is no 'id'; there are body, status",
        ),
        (
            {
                "request": HttpRequest(method="POST", url=URL),
                "undo": HttpRequest(method="DELETE", url=f"{URL}/${{{{ before.id }}}}"),
            },
            "undo: its url reads 'before'; it may read arguments, key, output",
        ),
        (
            {
                "request": HttpRequest(method="POST", url=URL),
                "undo": HttpRequest(method="DELETE", url=f"{URL}/${{{{ 1 + }}}}"),
            },
            "undo: url: '1 +' does not parse",
        ),
        ({"request": HttpRequest(method="GET", url="https://api.example.com:99999/x")}, "a host or a port"),
        ({"request": HttpRequest(method="GET", url="https://[::g]/x")}, "a host or a port"),
        ({"request": HttpRequest(method="GET", url="https://a.example\\b.example/x")}, "with a fixed host"),
        ({"request": HttpRequest(method="GET", url=URL, headers={"X: y": "z"})}, "is not a name of a header"),
        (
            {"arguments": {"from": str}, "request": HttpRequest(method="GET", url=URL)},
            "'from' is not the name of an argument; a body may name it otherwise",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_when_the_bundle_is_loaded(parts: dict[str, Any], said: str) -> None:
    tool = HttpTool(name="x", description="Does something.", **parts)
    if not said:
        Bundle("shop").add(tool)
        return
    with pytest.raises(DefinitionError) as caught:
        Bundle("shop").add(tool)
    assert said in str(caught.value)
