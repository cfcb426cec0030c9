"""Temporal's own configuration reaches the connection: profile, namespace, API key and TLS."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from counterstep.runtime import connection
from counterstep.runtime.connection import connect, read_connection
from counterstep.saga.errors import ServerUnavailable

# How HTTP/2 writes these characters: the static Huffman code of RFC 7541, appendix B.
HUFFMAN = {
    **{character: f"{code:05b}" for code, character in enumerate("012aceiost")},
    " ": "010100",
    "r": "101100",
    "B": "1011101",
}
KEY = "2see0it1orac"


@dataclass
class Heard:
    """What a listener has heard."""

    port: int = 0
    sent: bytearray = field(default_factory=bytearray)
    names: list[str | None] = field(default_factory=list)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of the name ``temporal.test``, signed by itself, with its key in ``key.pem``."""
    made = tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=temporal.test -keyout"
    names = ["-out", str(made), "-addext", "subjectAltName=DNS:temporal.test"]
    names += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*command.split(), str(tmp_path / "key.pem"), *names], check=True, capture_output=True)
    return made


@asynccontextmanager
async def listener(certificate: Path | None = None) -> AsyncIterator[Heard]:
    """Keeps what a client sends, and answers nothing but the beginning of HTTP/2."""
    heard = Heard()
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_name("key.pem"))
        context.set_alpn_protocols(["h2"])
        context.sni_callback = lambda _socket, name, _context: heard.names.append(name)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0\4\0\0\0\0\0")  # an empty frame of settings
        while data := await reader.read(65536):
            heard.sent += data
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
    heard.port = server.sockets[0].getsockname()[1]
    try:
        yield heard
    finally:
        server.close()


def huffman(text: str) -> bytes:
    """The whole bytes that a text begins with on the wire."""
    bits = "".join(HUFFMAN[character] for character in text)
    return int(bits[: len(bits) // 8 * 8], 2).to_bytes(len(bits) // 8)


async def try_to_connect(monkeypatch: pytest.MonkeyPatch, seconds: float = 1.5) -> str:
    """Connects to what never answers, and returns what is said about that."""
    monkeypatch.setattr(connection, "CONNECT_SECONDS", seconds)
    with pytest.raises(ServerUnavailable) as caught:
        await connect(read_connection())
    return str(caught.value)


async def test_an_api_key_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listener() as heard:
        monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{heard.port}")
        monkeypatch.setenv("TEMPORAL_API_KEY", KEY)
        monkeypatch.setenv("TEMPORAL_TLS", "false")
        said = await try_to_connect(monkeypatch)
    assert "does not answer within" in said
    assert KEY not in said
    assert huffman(f"Bearer {KEY}") in heard.sent


async def test_tls_is_spoken_with_the_configured_authority(
    monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    async with listener(certificate) as heard:
        monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{heard.port}")
        monkeypatch.setenv("TEMPORAL_TLS_SERVER_NAME", "temporal.test")
        said = await try_to_connect(monkeypatch)
        assert "its certificate is not trusted" in said
        assert "TEMPORAL_TLS_SERVER_CA_CERT_PATH" in said
        assert "counterstep server" not in said
        assert bytes(heard.sent) == b""
        monkeypatch.setenv("TEMPORAL_TLS_SERVER_CA_CERT_PATH", str(certificate))
        said = await try_to_connect(monkeypatch)
    assert "does not answer within" in said
    assert set(heard.names) == {"temporal.test"}
    assert heard.sent.startswith(b"PRI * HTTP/2.0")


def test_a_profile_of_temporals_configuration_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text(
        '[profile.default]\naddress = "one:7233"\n'
        '[profile.far]\naddress = "far:7233"\nnamespace = "orders"\napi_key = "k"\n'
    )
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))
    assert read_connection() == {"target_host": "one:7233"}
    monkeypatch.setenv("TEMPORAL_PROFILE", "far")
    far = {"target_host": "far:7233", "namespace": "orders", "api_key": "k", "tls": True}
    assert read_connection() == far
    assert read_connection("here:1", "mine") == {**far, "target_host": "here:1", "namespace": "mine"}
    monkeypatch.setenv("TEMPORAL_PROFILE", "nobody")
    with pytest.raises(ServerUnavailable, match="nobody"):
        read_connection()
