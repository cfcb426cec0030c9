"""What every request has to show."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from counterstep.a2a_server.callers import NamedTokens
from counterstep.a2a_server.door import Door

URL = "https://agents.example"
TOKEN = "0123456789abcdef"


async def _hello(request: Request) -> PlainTextResponse:
    name = request.user.display_name if "user" in request.scope else "nobody"
    return PlainTextResponse(f"{name} {len(await request.body())}")


APP = Starlette(routes=[Route("/{path:path}", _hello, methods=["GET", "POST"])])


async def asked(
    callers: NamedTokens | None, path: str = "/", size: int = 0, headers: Any = None
) -> tuple[int, str]:
    door = Door(APP, URL, callers)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://127.0.0.1") as client:
        answer = await client.post(path, content=b"x" * size, headers=headers)
        return answer.status_code, answer.text


async def test_a_token_says_who_calls() -> None:
    known = NamedTokens({TOKEN: "ann"})
    assert await asked(known, size=3, headers={"authorization": f"Bearer {TOKEN}"}) == (200, "ann 3")
    assert await asked(known, headers={"authorization": f"bearer {TOKEN}", "host": "anything.example"}) == (
        200,
        "ann 0",
    )
    for shown in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
        assert (await asked(known, headers={"authorization": shown}))[0] == 401
    for path in ("/.well-known/agent-card.json", "/.well-known/jwks.json"):
        assert await asked(known, path) == (200, "nobody 0")
    assert (await asked(known, "/.well-known/agent-card.json/"))[0] == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:8235"}, 200),
        ({"host": "[::1]:8235"}, 200),
        ({"host": "agents.example"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "[::1"}, 421),
        ({"origin": URL}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
async def test_without_tokens_only_this_machine_calls_and_no_page_does(
    headers: dict[str, str], status: int
) -> None:
    assert (await asked(None, headers=headers))[0] == status


async def test_a_request_has_a_size() -> None:
    assert await asked(None, size=1_000_000) == (200, "nobody 1000000")
    assert (await asked(None, size=1_000_001))[0] == 413
