"""How the inbox is served over a real connection."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from temporalio.client import Client

from counterstep.inbox.app import make_app
from counterstep.inbox.inbox_config import InboxConfig, ProxySignIn
from counterstep.runtime.web_server import open_socket, server_config


@pytest.fixture
def url() -> Iterator[str]:
    """An inbox that believes a proxy which is not on this machine."""
    client = asyncio.run(Client.connect("127.0.0.1:1", lazy=True))
    sign_in = ProxySignIn((ipaddress.ip_network("10.0.0.0/8"),))
    app = make_app(client, InboxConfig("127.0.0.1", sign_in, "s" * 32, "https://inbox.example.com"))
    server = uvicorn.Server(server_config(app))
    with open_socket("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Host"])
def test_where_a_request_comes_from_is_where_its_connection_comes_from(url: str, header: str) -> None:
    value = "for=10.0.0.1" if header == "Forwarded" else "10.0.0.1"
    answer = httpx.get(url, headers={header: value, "X-Forwarded-User": "ann"}, trust_env=False)
    assert answer.status_code == 403
    assert "server" not in answer.headers
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
