"""Which Temporal server a command means."""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from temporalio.client import Client, Plugin
from temporalio.converter import PayloadCodec
from temporalio.envconfig import ClientConnectConfig
from temporalio.service import RPCError

from ...embedded import EmbeddedServer, ensure, running
from ...runtime.codec import load_codec
from ...runtime.connection import AWAY, DEFAULT_ADDRESS, connect, log_through_python, read_connection
from ...runtime.settings import read_settings
from ...saga.errors import ServerUnavailable
from ..errors import CommandFailed
from .shell_command import command_line

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServerTarget:
    """A Temporal server.

    Attributes:
        config: How to connect.
        embedded: The embedded server of this folder, if that is the one.
        bundles: The bundles that the settings name for workers started in this folder.
        codec: What encodes what is sent there, and decodes what is read.
        codec_name: The codec as it was named on the command line; None where the settings name it.
    """

    config: ClientConnectConfig
    embedded: EmbeddedServer | None = None
    bundles: Sequence[str] = ()
    codec: PayloadCodec | None = None
    codec_name: str | None = None

    async def connect(self, plugins: Sequence[Plugin] = ()) -> Client:
        """Connects; raises what `runtime.connection.connect` raises."""
        return await connect(self.config, plugins, codec=self.codec)

    @property
    def address(self) -> str:
        """``host:port``."""
        return self.config.get("target_host", DEFAULT_ADDRESS)

    @property
    def is_a_guess(self) -> bool:
        """Whether no server was named, so that this is only Temporal's own default address."""
        return self.embedded is None and "target_host" not in self.config

    def link(self, workflow_id: str) -> str | None:
        """The task's page in the Web UI, if the address of the Web UI is known."""
        if self.embedded is None:
            return None
        return f"{self.embedded.ui_url}/namespaces/default/workflows/{quote(workflow_id, safe='')}"

    def options(self) -> list[str]:
        """The command-line options with which another command in this folder reaches the same server."""
        codec = ["--codec", self.codec_name] if self.codec_name else []
        if self.embedded is not None:
            return codec
        namespace = self.config.get("namespace")
        return ["--address", self.address, *(["--namespace", namespace] if namespace else []), *codec]

    def command(self, name: str, *arguments: str, options: Sequence[str] = ()) -> str:
        """Returns a command for people to type that reaches the same server; see `command_line`."""
        return command_line(name, *arguments, options=options, server=self.options())

    def ask(self, question: Coroutine[Any, Any, T]) -> T:
        """Awaits a request to the server.

        Raises:
            ServerUnavailable: The server has stopped answering.
        """
        try:
            return asyncio.new_event_loop().run_until_complete(question)
        except RPCError as error:
            raise self.explain(error) from error

    def explain(self, error: Exception) -> Exception:
        """Makes an outage an error that names the server and what to do; other errors stay as they are."""
        if not isinstance(error, RPCError) or error.status not in AWAY:
            return error
        start = " Start it again with `counterstep server`." if self.embedded else ""
        return ServerUnavailable(
            f"The Temporal server at {self.address} does not answer any more ({error.message.rstrip('. ')}). "
            f"Whatever was started is kept there.{start} When it is back, `{self.command('list')}` shows it."
        )

    def worker_command(self, task_queue: str, bundles: Sequence[str] = ()) -> str:
        """Returns the command that starts a worker of a queue, with its `bundles` if they are known."""
        known = bundles or self.bundles or ("MODULE:ATTRIBUTE",)
        named = [part for name in known for part in ("--bundle", name)]
        return shlex.join(["counterstep", "worker", *named, "--task-queue", task_queue, *self.options()])


def find_target(
    address: str | None, namespace: str | None, codec: str | None = None, *, start: bool = False
) -> ServerTarget:
    """Finds the server: the one that is named or configured, or else the embedded one of this folder.

    Args:
        address: The value of ``--address``.
        namespace: The value of ``--namespace``.
        codec: The value of ``--codec``.
        start: Whether to start the embedded server if it does not run; without it, Temporal's default address
            is used then.

    Returns:
        The server; whether it answers has not been tried.

    Raises:
        ServerUnavailable: The embedded server cannot be started, or the configuration cannot be read.
        CommandFailed: The embedded server does not have this namespace.
        SettingsError: Some environment variables cannot be used.
        DefinitionError: The codec cannot be loaded.
    """
    # A command reports itself what goes wrong; the SDK's own lines are shown only once logs are configured.
    log_through_python()
    logging.getLogger("temporalio.core").addHandler(logging.NullHandler())
    # Every command reports a mistake in any variable, and an API key may be kept in a file.
    settings = read_settings()
    config = read_connection(address, namespace)
    named = codec or settings.codec
    target = ServerTarget(
        config,
        bundles=settings.bundles,
        codec=load_codec(named) if named else None,
        codec_name=codec,
    )
    if "target_host" in config:
        return target
    folder = Path.cwd()
    embedded = ensure(folder) if start else running(folder)
    if embedded is None:
        return target
    if config.get("namespace", "default") != "default":
        raise CommandFailed(
            f"The embedded server has the namespace 'default' only, and not {config['namespace']!r}; "
            "name another server with --address."
        )
    here: ClientConnectConfig = {"target_host": embedded.address, "namespace": "default"}
    return replace(target, config=here, embedded=embedded)
