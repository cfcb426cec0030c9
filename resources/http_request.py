"""Requests to the hosts that a worker allows: templates, no redirects, and answers of a bounded size."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict

from ..saga.errors import DefinitionError, ExpressionError, NotApplied
from ..saga.expressions.expression import Path, compile_expression, told_where
from ..saga.expressions.json_values import whole
from ..saga.expressions.template import expressions, render
from ..saga.expressions.tokens import holes
from ..saga.fault_texts import short
from ..saga.names import nearest
from .stock_settings import credential, is_address, read_stock_settings

MOST_READ: Final = 500_000
"""Bytes of an answer."""

TIMEOUT: Final = 30.0
"""Seconds without any progress of a request."""

Answer = dict[str, Any]


class HttpRequest(BaseModel):
    """A request as it is declared; strings may hold ``${{ }}`` over ``arguments`` and ``key``.

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

    def faults(self, what: str, known: Mapping[str, Collection[str] | None]) -> Iterator[str]:
        """Yields what is wrong with it.

        Args:
            what: How messages name it.
            known: What its expressions may read, each with the names in it; None where anything may be in it.
        """
        if not re.match(r"https?://[^/\\\s${}?#@]+(/|$)", self.url):
            yield f"{what}: its url must begin with a fixed host, e.g. https://api.example.com/"
        elif not is_address("/".join(self.url.split("/", 3)[:3])):
            yield f"{what}: its url has a host or a port that cannot be"
        for name in self.headers:
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
                yield f"{what}: headers: {name!r} is not a name of a header"
        parts = (
            ("url", self.url, known),
            ("body", self.body, known),
            ("headers", self.headers, {**known, "credentials": None}),
        )
        for part, template, allowed in parts:
            try:
                read = _paths(template)
            except ExpressionError as error:
                yield f"{what}: {part}: {told_where(error, allowed)}"
                continue
            if unknown := sorted({path.root for path in read} - set(allowed)):
                yield f"{what}: its {part} reads {unknown[0]!r}; it may read {', '.join(sorted(allowed))}"
                continue
            for path in dict.fromkeys(read):
                inner = allowed[path.root]
                if inner is not None and path.parts and path.parts[0] not in inner:
                    hint = nearest(str(path.parts[0]), inner)
                    yield f"{what}: its {part} reads {path}, and there is no {path.parts[0]!r}{hint}"

    def reads(self, name: str) -> bool:
        """Says whether one of its expressions reads a variable; where one does not parse, none does."""
        try:
            return any(path.root == name for path in _paths([self.url, self.body, self.headers]))
        except ExpressionError:
            return False

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
        try:
            url = httpx.URL(self._url(scope))
            _expect_allowed(url)
            secrets = {name: credential(name) for name in self._credentials()}
            filled = render(self.headers, {**scope, "credentials": secrets}, "headers")
            body = render(self.body, scope, "body")
        except (DefinitionError, ExpressionError, httpx.InvalidURL) as error:
            raise NotApplied(str(error)) from None
        headers = {name: _header(name, value) for name, value in filled.items()}
        if key is not None:
            headers["Idempotency-Key"] = key
        options = {} if body is None else {"json": body}
        with (
            httpx.Client(follow_redirects=False, timeout=TIMEOUT, verify=_tls()) as client,
            client.stream(self.method, url, headers=headers, **options) as response,
        ):
            if 300 <= response.status_code < 400:
                raise RuntimeError(f"{url.host} answered with a redirect, and those are not followed")
            content = b""
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MOST_READ:
                    raise RuntimeError(f"the answer of {url.host} has more than {MOST_READ} bytes")
        told = _without(_value(content.decode(errors="replace")), secrets.values())
        return response.status_code, {"status": response.status_code, "body": told}

    def _credentials(self) -> set[str]:
        paths = [path for path in _paths(self.headers) if path.root == "credentials"]
        return {str(path.parts[0]) for path in paths if path.parts}

    def _url(self, scope: Mapping[str, Any]) -> str:
        """Fills in the address; what is filled in can lead to no other place on the host."""
        pieces, end = [], 0
        for hole in holes(self.url):
            value = render(self.url[hole.start : hole.end], scope, "url")
            text = _text(value)
            if text in (None, "", ".", ".."):
                raise NotApplied(f"url: {short(value)} cannot be a part of a path")
            pieces += [self.url[end : hole.start], quote(text, safe="")]
            end = hole.end
        return "".join([*pieces, self.url[end:]])


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Reads the certificates once: that takes longer than a request."""
    return httpx.create_ssl_context()


def _paths(template: Any) -> list[Path]:
    return [path for _, source in expressions(template) for path in compile_expression(source).paths]


def _text(value: Any) -> str | None:
    """Returns how a value stands in an address or a header; None for one that cannot stand there."""
    if isinstance(value, str):
        return value
    return json.dumps(whole(value)) if isinstance(value, bool | int | float) else None


def _header(name: str, value: Any) -> str:
    text = _text(value)
    if text is None or not re.fullmatch(r"[ -~\t]*", text):
        # What it is may be a credential.
        raise NotApplied(f"headers.{name}: it is not one line of plain text (ASCII)")
    return text.strip(" \t")


def _without(value: Any, secrets: Collection[str]) -> Any:
    """Returns an answer in which no text has one of these secrets in it."""
    if isinstance(value, str):
        for secret in sorted(secrets, key=len, reverse=True):
            value = value.replace(secret, "[redacted]")
        return value
    if isinstance(value, dict):
        return {_without(name, secrets): _without(part, secrets) for name, part in value.items()}
    return [_without(part, secrets) for part in value] if isinstance(value, list) else value


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
    except (ValueError, RecursionError):
        return text
