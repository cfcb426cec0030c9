"""An MCP server behind OAuth: each caller has credentials of its own, and nobody reads them anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from counterstep import Bundle, DefinitionError, McpServer
from counterstep.bundle.registry import Registry
from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.histories.history import all_text_of
from counterstep.tests.support.mcp_servers.booking_workers import working
from counterstep.tests.support.mcp_servers.guarded_inn import GuardedInn
from counterstep.tests.support.tasks.tasks import end_of, tell, until_state

SECRETS = {"desk": "s3cret-of-the-desk", "boss": "s3cret-of-the-boss"}
BOOK: dict[str, Any] = {
    "undo": {"tool": "cancel", "input": {"city": "${{ arguments.city }}"}, "retry": {"attempts": 1}}
}


@pytest.fixture
def inn(monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardedInn]:
    for client, secret in SECRETS.items():
        monkeypatch.setenv(f"{client.upper()}_SECRET", secret)
    with GuardedInn(dict(SECRETS)).serving() as inn:
        yield inn


def seen_by(client: str, inn: GuardedInn, **oauth: str) -> McpServer:
    """The server as one caller sees it, under the caller's name."""
    given = {"client_id": client, "client_secret": f"env:{client.upper()}_SECRET", "issuer": inn.issuer}
    return McpServer(client, url=inn.url, oauth={**given, **oauth}, tools={"book": BOOK})


async def test_each_caller_has_credentials_of_its_own_and_no_history_has_them(
    server: EmbeddedServer, task_queue: str, inn: GuardedInn
) -> None:
    bundle = Bundle("travel")
    bundle.add(seen_by("desk", inn))
    bundle.add(seen_by("boss", inn))
    async with working(server.address, task_queue, bundle) as tasks:
        steps = [
            {"id": "rome", "tool": "desk.book", "input": {"city": "Rome"}},
            {"id": "bern", "tool": "boss.book", "input": {"city": "Bern"}},
        ]
        handle = await tasks.start(steps, output={"rome": "${{ steps.rome.output.result }}"})
        done = await end_of(handle)
        # What has expired is renewed, unnoticed.
        given, old = inn.given, list(inn.tokens)
        inn.tokens.clear()
        third = {"id": "fails", "tool": "desk.book", "input": {"city": "Atlantis"}}
        undone = await tasks.start([{**steps[0], "input": {"city": "Oslo"}}, {**third, "needs": ["rome"]}])
        assert (await end_of(undone)).type == "SagaRolledBack"
        assert inn.given > given
    assert inn.bookings == {"Rome": "desk", "Bern": "boss"}
    assert done.output["rome"] == "booked by desk with [redacted]"
    for text in (await all_text_of(handle), await all_text_of(undone)):
        assert "with [redacted]" in text
        assert not [secret for secret in (*SECRETS.values(), *old, *inn.tokens) if secret in text]


async def test_credentials_that_are_taken_away_in_the_middle_of_a_task(
    server: EmbeddedServer, task_queue: str, inn: GuardedInn
) -> None:
    bundle = Bundle("travel")
    bundle.add(seen_by("desk", inn))
    async with working(server.address, task_queue, bundle) as tasks:
        handle = await tasks.start(
            [
                {"id": "rome", "tool": "desk.book", "input": {"city": "Rome"}},
                {"id": "out", "needs": ["rome"], "tool": "desk.lock_out", "input": {}},
                {"id": "bern", "needs": ["out"], "tool": "desk.book", "input": {"city": "Bern"}},
            ]
        )
        board = await until_state(handle, "needs_attention")
        (stuck,) = [entry for entry in board["ledger"] if entry["state"] == "stuck"]
        assert inn.bookings == {"Rome": "desk"}, "what was refused has not happened"
        inn.clients.update(SECRETS)
        await tell(handle, "resolve", step=stuck["id"], action="retry")
        end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "NotApplied"
    assert end.failure["message"].startswith("MCP server desk: there is no token for it (HTTP 401")
    assert end.details["undone"] == ["rome"]
    assert inn.bookings == {}
    assert not [secret for secret in SECRETS.values() if secret in await all_text_of(handle)]


def test_what_is_wrong_with_credentials_is_told_in_one_sentence(
    inn: GuardedInn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DESK_SECRET", "an-0ld-secret")
    header = {"Authorization": "Bearer env:DESK_SECRET"}
    elsewhere = f"Authorization server metadata issuer mismatch: {inn.issuer} != https://auth.example.com"
    secret_url = f"{inn.url}?key=env:DESK_SECRET"
    for server, told in (
        (
            McpServer("inn", url=secret_url),
            "it wants credentials (HTTP 401 Unauthorized); give headers or oauth",
        ),
        (
            seen_by("desk", inn),
            "there is no token for it (HTTP 401 Unauthorized): Token exchange failed (401)",
        ),
        (seen_by("boss", inn, issuer="https://auth.example.com"), elsewhere),
        (
            McpServer("inn", url=inn.url),
            "it wants credentials (HTTP 401 Unauthorized); give headers or oauth",
        ),
        (McpServer("inn", url=inn.url, headers=header), "it refuses the credentials (HTTP 401 Unauthorized)"),
    ):
        bundle = Bundle("travel")
        bundle.add(server)
        with pytest.raises(DefinitionError) as caught:
            Registry([bundle])
        said = str(caught.value)
        assert said.startswith(f"MCP server {server.name}: it cannot be used: {inn.url}: ") and told in said
        assert len(said.splitlines()) == 1 and "an-0ld-secret" not in said
    assert "an-0ld-secret" not in "".join(capfd.readouterr())
