"""Requests to the hosts that a worker allows: templates, no redirects, and answers of a bounded size."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict

from ..saga.errors import DefinitionError, ExpressionError, NotApplied
from ..saga.expressions.expression import Path, compile_expression
from ..saga.expressions.template import expressions, render
from ..saga.expressions.tokens import holes
from .stock_settings import credential, read_stock_settings

MOST_READ: Final = 500_000
"""Bytes of an answer."""

TIMEOUT: Final = 30.0
"""Seconds without any progress of a request."""

Answer = dict[str, Any]


class HttpRequest(BaseModel):
    """A request as it is declared; strings may hold ``${{ }}`` over ``arguments``, ``key`` and ``before``.

    Attributes:
        method: Its method.
        url: Its address; scheme and host are fixed, and what is filled in is quoted as one part of the path.
        headers: Headers; ``${{ credentials.NAME }}`` stands for a credential of the worker, here only.
        body: What is sent as JSON; None for nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: str
    headers: dict[str, str] = {}
    body: Any = None

    def faults(self, what: str, known: frozenset[str]) -> Iterator[str]:
        """Yields what is wrong with it.

        Args:
            what: How messages name it.
            known: What its expressions may read.
        """
        if not re.match(r"https?://[^/\s${}?#@]+(/|$)", self.url):
            yield f"{what}: its url must begin with a fixed host, e.g. https://api.example.com/"
        parts = (
            ("url", self.url, known),
            ("body", self.body, known),
            ("headers", self.headers, known | {"credentials"}),
        )
        for part, template, allowed in parts:
            try:
                read = {path.root for path in _paths(template)}
            except ExpressionError as error:
                yield f"{what}: {part}: {error}"
                continue
            if unknown := sorted(read - allowed):
                yield f"{what}: its {part} reads {unknown[0]!r}; it may read {', '.join(sorted(allowed))}"

    def reads(self, name: str) -> bool:
        """Says whether one of its expressions reads a variable."""
        return any(path.root == name for path in _paths([self.url, self.body, self.headers]))

    def send(self, scope: Mapping[str, Any], key: str | None) -> tuple[int, Answer]:
        """Fills it in and sends it.

        Args:
            scope: What its expressions read.
            key: Sent as ``Idempotency-Key``; None for a request that changes nothing.

        Returns:
            The status, and the answer.

        Raises:
            NotApplied: It was not sent: the host is not allowed, a credential is not set, a template fails.
            RuntimeError: The answer is a redirect, or too large.
        """
        url = httpx.URL(self._url(scope))
        _expect_allowed(url)
        try:
            secrets = {name: credential(name) for name in self._credentials()}
            headers = render(self.headers, {**scope, "credentials": secrets}, "headers")
            body = render(self.body, scope, "body")
        except (DefinitionError, ExpressionError) as error:
            raise NotApplied(str(error)) from None
        if key is not None:
            headers["Idempotency-Key"] = key
        options = {} if body is None else {"json": body}
        with (
            httpx.Client(follow_redirects=False, timeout=TIMEOUT, trust_env=False, verify=_tls()) as client,
            client.stream(self.method, url, headers=headers, **options) as response,
        ):
            if 300 <= response.status_code < 400:
                raise RuntimeError(f"{url.host} answered with a redirect, and those are not followed")
            content = b""
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MOST_READ:
                    raise RuntimeError(f"the answer of {url.host} has more than {MOST_READ} bytes")
        text = content.decode(errors="replace")
        for secret in secrets.values():
            text = text.replace(secret, "[redacted]")
        return response.status_code, {"status": response.status_code, "body": _value(text)}

    def _credentials(self) -> set[str]:
        paths = [path for path in _paths(self.headers) if path.root == "credentials"]
        return {str(path.parts[0]) for path in paths if path.parts}

    def _url(self, scope: Mapping[str, Any]) -> str:
        """Fills in the address; what is filled in can lead to no other place on the host."""
        try:
            pieces, end = [], 0
            for hole in holes(self.url):
                value = render(self.url[hole.start : hole.end], scope, "url")
                if str(value) in ("", ".", ".."):
                    raise NotApplied(f"url: {value!r} cannot be a part of a path")
                pieces += [self.url[end : hole.start], quote(str(value), safe="")]
                end = hole.end
        except ExpressionError as error:
            raise NotApplied(str(error)) from None
        return "".join([*pieces, self.url[end:]])


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Reads the certificates once: that takes longer than a request."""
    return httpx.create_ssl_context()


def _paths(template: Any) -> list[Path]:
    return [path for _, source in expressions(template) for path in compile_expression(source).paths]


def _expect_allowed(url: httpx.URL) -> None:
    hosts = read_stock_settings().hosts
    allowed = [httpx.URL(host if "://" in host else f"https://{host}") for host in hosts]
    if not any(
        (url.scheme, url.host, url.port) == (known.scheme, known.host, known.port) for known in allowed
    ):
        where = f"{url.scheme}://{url.netloc.decode()}"
        raise NotApplied(f"this worker allows no requests to {where}; COUNTERSTEP_STOCK_HOSTS says where to")


def _value(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
