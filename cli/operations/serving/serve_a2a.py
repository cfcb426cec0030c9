"""Serves the tasks of some bundles as an A2A agent, as the command line says."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ....a2a_server.app import make_app
from ....a2a_server.callers import Callers, NamedTokens, SignedTokens
from ....a2a_server.card import agent_card
from ....a2a_server.handler import TaskHandler
from ....a2a_server.push.sender import PushSender
from ....a2a_server.push.store import PushStore
from ....a2a_server.served_tasks import ServedTasks
from ....observability.logs import configure_logs
from ....runtime.decision_keys import DecisionKeys
from ....runtime.settings import read_settings
from ....runtime.signing_key import SigningKey
from ....runtime.text_file import read_text_file
from ....runtime.web_server import THIS_MACHINE, serve
from ....saga.counted import counted
from ....saga.errors import DefinitionError
from ....saga.spec.catalog import Catalog
from ...arguments.server_target import ServerTarget
from ...errors import CommandFailed
from ...exit_codes import ExitCode
from ...terminal.output import say
from .open_address import open_address


@dataclass(frozen=True, slots=True)
class A2aRequest:
    """What the command line says.

    Attributes:
        host: The address to listen on.
        port: The port; 0 for any.
        url: Where clients call it; None for that address.
        tokens: A file with the tokens of callers.
        jwks: The keys of an issuer of tokens: a file or an address.
        audience: For whom its tokens are.
        sign_key: A file with the key that signs the card.
        push_store: A file where notifications are kept; None for none.
        push_hosts: Where they may be sent.
        task_queue: The queue of the workers.
    """

    host: str
    port: int
    url: str | None
    tokens: Path | None
    jwks: str | None
    audience: str | None
    sign_key: Path | None
    push_store: Path | None
    push_hosts: Sequence[str]
    task_queue: str


async def serve_a2a(target: ServerTarget, request: A2aRequest, catalog: Catalog) -> None:
    """Serves until the process is asked to stop.

    Args:
        target: The Temporal server.
        request: What the command line says.
        catalog: What the bundles offer.

    Raises:
        CommandFailed: What the command line says cannot be, or the address cannot be opened.
        DefinitionError: A file cannot be used.
        ServerUnavailable: The Temporal server cannot be reached.
    """
    if faults := [*_faults(request, catalog)]:
        raise CommandFailed(" ".join(faults), code=ExitCode.BAD_USAGE)
    settings = read_settings()
    configure_logs(
        logging.StreamHandler(sys.stderr), json=settings.log_format == "json", level=settings.log_level
    )
    key = _signing_key(request.sign_key)
    store = PushStore(request.push_store) if request.push_store is not None else None
    listening, address = open_address(request.host, request.port)
    client = await target.connect()
    url = (request.url or address).rstrip("/")
    tasks = ServedTasks(client, catalog.tasks, request.task_queue)
    async with AsyncExitStack() as stack:
        callers = await stack.enter_async_context(_callers(request))
        push = None
        if store is not None:
            push = await stack.enter_async_context(PushSender(tasks, store, request.push_hosts))
        card = agent_card(catalog.tasks, url, callers=callers, push=push is not None, key=key)
        app = make_app(TaskHandler(tasks, push), card, url, callers, key)
        served = counted(len(catalog.tasks), "task")
        await serve(app, listening, lambda: say(f"{served} served over A2A at {url}"))


def _faults(request: A2aRequest, catalog: Catalog) -> list[str]:
    faults = []
    if not catalog.tasks:
        faults.append("The bundles have no tasks to serve; register tasks in one with add_task.")
    is_known = request.tokens is not None or request.jwks is not None
    public = urlsplit(request.url).hostname if request.url else request.host
    if not is_known and {request.host, public} - {*THIS_MACHINE}:
        faults.append("Others can reach it: say who may call with --tokens or --jwks.")
    if request.url and (urlsplit(request.url).scheme not in ("http", "https") or not public):
        faults.append(f"--url takes an http(s) address, not {request.url!r}.")
    if request.tokens is not None and request.jwks is not None:
        faults.append("--tokens and --jwks are two ways to know callers; choose one.")
    if request.jwks is not None and not request.audience:
        faults.append("--jwks needs --audience: a token for another service must not count here.")
    if bool(request.push_hosts) != (request.push_store is not None):
        faults.append("Notifications need both --push-store and --push-host.")
    return faults


def _signing_key(path: Path | None) -> SigningKey | None:
    if path is None:
        return None
    try:
        return SigningKey(read_text_file(path))
    except DefinitionError as error:
        raise DefinitionError(f"--sign-key: {error}") from None


@asynccontextmanager
async def _callers(request: A2aRequest) -> AsyncIterator[Callers | None]:
    """Knows callers, with keys that are kept fresh."""
    if request.tokens is not None:
        yield NamedTokens.read(request.tokens)
        return
    if request.jwks is None:
        yield None
        return
    keys = DecisionKeys(request.jwks, request.audience)
    try:
        await keys.read()
    except ValueError as error:
        raise DefinitionError(f"--jwks: {error}") from None
    fresh = asyncio.create_task(keys.keep_fresh())
    try:
        yield SignedTokens(keys)
    finally:
        fresh.cancel()
        with suppress(asyncio.CancelledError):
            await fresh
