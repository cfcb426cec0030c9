"""An MCP server whose tools a worker offers, as it is declared."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from ..saga.duration import parse_duration
from ..saga.errors import DefinitionError
from ..saga.fault_texts import faults_in
from ..saga.spec.fields import STEP_ID
from .tool_mapping import ToolMapping

_VARIABLE = re.compile(r"env:([A-Za-z_]\w*)")
_OAUTH = {"client_id", "client_secret", "issuer", "scope"}


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

        In the values of `headers`, `env` and `oauth`, ``env:VARIABLE`` stands for the value of that variable
        in the worker's environment, e.g. ``{"Authorization": "Bearer env:FILES_TOKEN"}``. The values are in
        no history, log or error.

        Args:
            name: Lower-case letters, digits and underscores; no bundle may have the same name.
            command: The program and its arguments; it runs as long as the worker does.
            url: The address of a running server, in place of a program.
            tools: By the name of the tool: ``undo``, ``before``, ``effect``, ``approval``, ``idempotent``,
                ``key``, ``timeout`` and ``repeats``.
            headers: Are sent with every request to `url`.
            env: Environment variables of the program; of the worker's it gets ``PATH``, ``HOME`` and such.
            cwd: The working directory of the program.
            oauth: Client credentials for `url`: ``client_id``, ``client_secret``, ``issuer`` and ``scope``.
            start_timeout: How long it may take to start and to tell its tools.

        Raises:
            DefinitionError: Something in it is wrong; the error names all faults.
        """
        self.name = name
        self.command = tuple(command) if command is not None and not isinstance(command, str) else None
        self.url = url
        self.cwd = cwd
        self.tools: dict[str, ToolMapping] = {}
        self._headers, self._env, self._oauth = dict(headers or {}), dict(env or {}), dict(oauth or {})
        faults = [*self._address_faults(command), *self._read_tools(tools or {})]
        try:
            given = start_timeout
            self.start_timeout = parse_duration(given) if isinstance(given, str) else given
        except ValueError as error:
            faults.append(f"start_timeout: {error}")
        if faults:
            raise DefinitionError("\n".join(f"MCP server {name}: {fault}" for fault in faults))

    @property
    def headers(self) -> dict[str, str]:
        """The headers, with the values of the environment."""
        return {name: self._filled(value) for name, value in self._headers.items()}

    @property
    def env(self) -> dict[str, str]:
        """The program's variables, with the values of the environment."""
        return {name: self._filled(value) for name, value in self._env.items()}

    @property
    def oauth(self) -> dict[str, str]:
        """The client credentials, with the values of the environment; empty where there are none."""
        return {name: self._filled(value) for name, value in self._oauth.items()}

    @property
    def secrets(self) -> list[str]:
        """The values of the environment variables that it uses; they must not be shown to anybody."""
        return [value for name in self._variables() if (value := os.environ.get(name))]

    def missing_variables(self) -> list[str]:
        """Returns the environment variables that it uses and the worker does not have."""
        return [name for name in self._variables() if not os.environ.get(name)]

    def _variables(self) -> list[str]:
        values = (*self._headers.values(), *self._env.values(), *self._oauth.values())
        return list(dict.fromkeys(name for value in values for name in _VARIABLE.findall(value)))

    @staticmethod
    def _filled(value: str) -> str:
        return _VARIABLE.sub(lambda found: os.environ.get(found[1], ""), value)

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
            parts = urlsplit(self.url) if isinstance(self.url, str) else None
            if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
                yield "url is an http or https address"
            elif parts.username or parts.password:
                yield "its url has credentials in it; give them by headers or oauth, as env:VARIABLE"
        if self.url is None and (self._headers or self._oauth):
            yield "headers and oauth are for a url"
        if command is None and (self._env or self.cwd is not None):
            yield "env and cwd are for a command"
        values = (*self._headers.values(), *self._env.values(), *self._oauth.values())
        if not all(isinstance(value, str) for value in values):
            yield "the values of headers, env and oauth are texts"
            self._headers, self._env, self._oauth = {}, {}, {}
        if self._oauth and not ({"client_id", "client_secret"} <= set(self._oauth) <= _OAUTH):
            yield "oauth has client_id and client_secret, and may have issuer and scope"

    def _read_tools(self, tools: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        for name, said in tools.items():
            try:
                self.tools[name] = ToolMapping.model_validate(said)
            except ValidationError as error:
                yield f"tool {name}: {faults_in(error)}"
                continue
            yield from (f"tool {name}: {fault}" for fault in self.tools[name].faults())
