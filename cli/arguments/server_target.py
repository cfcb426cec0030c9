"""Which Temporal server a command means."""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from temporalio.envconfig import ClientConnectConfig
from temporalio.service import RPCError

from ...embedded import EmbeddedServer, ensure, running
from ...runtime.connection import AWAY, DEFAULT_ADDRESS, log_through_python, read_connection
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
        embedded: The embedded server, if it is that of this folder.
        bundles: What the workers in this folder offer, as far as the settings say so.
    """

    config: ClientConnectConfig
    embedded: EmbeddedServer | None = None
    bundles: Sequence[str] = ()

    @property
    def address(self) -> str:
        """``host:port``."""
        return self.config.get("target_host", DEFAULT_ADDRESS)

    @property
    def is_a_guess(self) -> bool:
        """Whether nobody has named a server, and this is only where Temporal's own tools look."""
        return self.embedded is None and "target_host" not in self.config

    def link(self, workflow_id: str) -> str | None:
        """The task's page in the Web UI, where its address is known."""
        if self.embedded is None:
            return None
        return f"{self.embedded.ui_url}/namespaces/default/workflows/{quote(workflow_id, safe='')}"

    def options(self) -> list[str]:
        """The command-line options that lead another command, in this folder, to the same server."""
        if self.embedded is not None:
            return []
        namespace = self.config.get("namespace")
        return ["--address", self.address, *(["--namespace", namespace] if namespace else [])]

    def command(self, name: str, *arguments: str, options: Sequence[str] = ()) -> str:
        """The command that goes to the same server, to be typed; see `command_line`."""
        return command_line(name, *arguments, options=options, server=self.options())

    def ask(self, question: Coroutine[Any, Any, T]) -> T:
        """Runs what a command asks the server.

        Raises:
            ServerUnavailable: It has stopped answering.
        """
        try:
            return asyncio.new_event_loop().run_until_complete(question)
        except RPCError as error:
            raise self.explain(error) from error

    def explain(self, error: Exception) -> Exception:
        """Says which server does not answer, and what to do; any other error is left as it is."""
        if not isinstance(error, RPCError) or error.status not in AWAY:
            return error
        start = " Start it again with `counterstep server`." if self.embedded else ""
        return ServerUnavailable(
            f"The Temporal server at {self.address} does not answer any more ({error.message.rstrip('. ')}). "
            f"Whatever was started is kept there.{start} When it is back, `{self.command('list')}` shows it."
        )

    def worker_command(self, task_queue: str, bundles: Sequence[str] = ()) -> str:
        """The command that starts a worker of a queue; for `bundles` as ``module:attribute``, if known."""
        known = bundles or self.bundles or ("MODULE:ATTRIBUTE",)
        named = [part for name in known for part in ("--bundle", name)]
        return shlex.join(["counterstep", "worker", *named, "--task-queue", task_queue, *self.options()])


def find_target(address: str | None, namespace: str | None, *, start: bool = False) -> ServerTarget:
    """Finds the server: the one that is named or configured, else the embedded one of this folder.

    Args:
        address: ``--address``.
        namespace: ``--namespace``.
        start: Start the embedded server where it does not run; otherwise Temporal's default address counts.

    Returns:
        The server; whether it answers is not tried.

    Raises:
        ServerUnavailable: The embedded server cannot be started, or the configuration cannot be read.
        CommandFailed: The embedded server has no such namespace.
        SettingsError: Variables of the environment cannot be used.
    """
    # A command says itself what goes wrong; who wants to see the SDK's own lines sets up logs.
    log_through_python()
    logging.getLogger("temporalio.core").addHandler(logging.NullHandler())
    # A mistake in any variable shows in every command; and an API key may be in a file.
    bundles = read_settings().bundles
    config = read_connection(address, namespace)
    if "target_host" in config:
        return ServerTarget(config, bundles=bundles)
    folder = Path.cwd()
    embedded = ensure(folder) if start else running(folder)
    if embedded is None:
        return ServerTarget(config, bundles=bundles)
    if config.get("namespace", "default") != "default":
        raise CommandFailed(
            f"The embedded server has the namespace 'default' only, and not {config['namespace']!r}; "
            "name another server with --address."
        )
    return ServerTarget({"target_host": embedded.address, "namespace": "default"}, embedded, bundles)
