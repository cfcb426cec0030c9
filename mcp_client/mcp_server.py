"""An MCP server whose tools a worker offers, as it is declared."""

from __future__ import annotations

import re
import shlex
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import ValidationError

from ..saga.duration import parse_duration
from ..saga.errors import DefinitionError
from ..saga.fault_texts import kind_of, short
from ..saga.spec.fields import STEP_ID
from .tool_mapping import ToolMapping, shape_faults
from .worker_variables import filled, named_in, value_of

_OAUTH = {"client_id", "client_secret", "issuer"}
_MOST_LEARNED = 50
_LONG_LINE = 12


class McpServer:
    """An MCP server; its tools are offered as ``NAME.TOOL``.

    A tool that the server annotates as read-only is offered as it is. Every other tool needs an entry in
    `tools`: an ``undo``, or an ``effect`` together with an ``approval``. Without one it is not offered.

    Attributes:
        name: The first half of the names of its tools.
        command: The program that serves on its standard input and output; None for a server with an address.
        url: The address of a server that speaks streamable HTTP; None for a program.
        tools: What is said of its tools, by the names that the server gives them.
        start_timeout: How long it may take to start and to tell its tools.
    """

    def __init__(
        self,
        name: str,
        *,
        command: Sequence[str] | None = None,
        url: str | None = None,
        tools: Mapping[str, Mapping[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        oauth: Mapping[str, str] | None = None,
        start_timeout: timedelta | str = "30s",
    ) -> None:
        """Declares a server; nothing is started.

        In `url`, and in the values of `headers`, `env` and `oauth`, ``env:VARIABLE`` stands for the value of
        that variable in the worker's environment, e.g. ``{"Authorization": "Bearer env:FILES_TOKEN"}``. The
        values are in no history, log or error.

        Args:
            name: Lower-case letters, digits and underscores; no bundle may have the same name.
            command: The program and its arguments; it runs as long as the worker does.
            url: The address of a running server, in place of a program.
            tools: By the name of the tool: ``undo``, ``before``, ``effect``, ``approval``, ``idempotent``,
                ``key``, ``timeout`` and ``repeats``.
            headers: Are sent with every request to `url`.
            env: Environment variables of the program; of the worker's it gets ``PATH``, ``HOME`` and such.
            cwd: The working directory of the program.
            oauth: Client credentials for `url`: ``client_id``, ``client_secret``, ``issuer`` (the address of
                the authorization server that they are for) and perhaps ``scope``.
            start_timeout: How long it may take to start and to tell its tools.

        Raises:
            DefinitionError: Something in it is wrong; the error names all faults.
        """
        self.name = name
        self.command = tuple(command) if command is not None and not isinstance(command, str) else None
        self.url = url
        self.cwd = cwd
        self.tools: dict[str, ToolMapping] = {}
        self._learned: deque[str] = deque(maxlen=_MOST_LEARNED)
        given = {"headers": headers or {}, "env": env or {}, "oauth": oauth or {}, "tools": tools or {}}
        faults = [
            f"{what} must be a mapping, not {kind_of(value)}"
            for what, value in given.items()
            if not isinstance(value, Mapping)
        ]
        read: list[dict[str, Any]] = [
            dict(value) if isinstance(value, Mapping) else {} for value in given.values()
        ]
        self._headers, self._env, self._oauth, said = read
        faults += [*self._address_faults(command), *self._read_tools(said)]
        try:
            self.start_timeout = parse_duration(start_timeout)
        except ValueError as error:
            faults.append(f"start_timeout: {error}")
        if faults:
            raise DefinitionError("\n".join(f"MCP server {name}: {fault}" for fault in faults))

    @property
    def headers(self) -> dict[str, str]:
        """The headers, with the values of the environment."""
        return {name: filled(value) for name, value in self._headers.items()}

    @property
    def env(self) -> dict[str, str]:
        """The program's variables, with the values of the environment."""
        return {name: filled(value) for name, value in self._env.items()}

    @property
    def oauth(self) -> dict[str, str]:
        """The client credentials, with the values of the environment; empty where there are none."""
        return {name: filled(value) for name, value in self._oauth.items()}

    @property
    def where(self) -> str:
        """Its address, but for what is asked there, or its program as one would type it."""
        return shlex.join(self.command or ())[:200] if self.url is None else self.url.partition("?")[0]

    @property
    def address(self) -> str:
        """The url, with the values of the environment."""
        return filled(self.url or "")

    @property
    def secrets(self) -> list[str]:
        """The values of the environment variables that it uses, and its latest tokens: for nobody's eyes."""
        values = [value for name in self._variables() if (value := value_of(name))]
        # Who repeats a key of many lines may repeat one of them.
        lines = [line for value in values for line in value.splitlines() if len(line) >= _LONG_LINE]
        return [*values, *lines, *self._learned]

    def learn_secret(self, secret: str) -> None:
        """Takes a token, which must not be shown to anybody either."""
        if secret not in self._learned:
            self._learned.append(secret)

    def missing_variables(self) -> list[str]:
        """Returns the environment variables that it uses and the worker does not have."""
        return [name for name in self._variables() if not value_of(name)]

    def _variables(self) -> list[str]:
        values = (self.url or "", *self._headers.values(), *self._env.values(), *self._oauth.values())
        return named_in(values)

    def _address_faults(self, command: object) -> Iterator[str]:
        if (
            not isinstance(self.name, str)
            or not re.fullmatch(STEP_ID, self.name)
            or self.name == "counterstep"
        ):
            yield "names look like [a-z][a-z0-9_]*, and not counterstep"
        if (command is None) == (self.url is None):
            yield "it has either a command or a url"
        if command is not None and not (self.command and all(isinstance(part, str) for part in self.command)):
            yield "command is a list of texts: the program and its arguments"
        if self.url is not None:
            parts = _split(self.url)
            if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
                yield "url is an http or https address"
            elif parts.username or parts.password:
                yield "its url has credentials in it; give them by headers or oauth, as env:VARIABLE"
        if self.url is None and (self._headers or self._oauth):
            yield "headers and oauth are for a url"
        if command is None and (self._env or self.cwd is not None):
            yield "env and cwd are for a command"
        if self.cwd is not None and not isinstance(self.cwd, str):
            yield f"cwd must be text, not {short(self.cwd)}"
        given = [*self._headers.items(), *self._env.items(), *self._oauth.items()]
        if not all(isinstance(text, str) for pair in given for text in pair):
            yield "the names and values of headers, env and oauth are texts"
            self._headers, self._env, self._oauth = {}, {}, {}
        if self._oauth and not (_OAUTH <= set(self._oauth) <= {*_OAUTH, "scope"}):
            # Without the issuer the server would say who is sent the credentials.
            yield "oauth has client_id, client_secret and issuer, and may have scope"

    def _read_tools(self, tools: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        for name, said in tools.items():
            try:
                self.tools[name] = ToolMapping.model_validate(said)
            except ValidationError as error:
                yield from (f"tool {name}: {fault}" for fault in shape_faults(error))
                continue
            yield from (f"tool {name}: {fault}" for fault in self.tools[name].faults())


def _split(url: object) -> SplitResult | None:
    """Takes an address apart; None for what is none, e.g. because of its port."""
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        if named_in([parts.netloc]):  # what is there is known when the server is asked
            return parts
        return parts if parts.port is None or parts.port else None
    except ValueError:
        return None
