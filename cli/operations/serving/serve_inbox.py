"""Serves the inbox as the settings and the command line say."""

from __future__ import annotations

import getpass
import logging
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from ....inbox.app import make_app
from ....inbox.inbox_config import InboxConfig, LocalSignIn, ProxySignIn, read_networks, unsafe, url_faults
from ....inbox.person import SignedIn
from ....inbox.signing import DecisionSigner
from ....observability.logs import configure_logs
from ....runtime.settings import Settings, SettingsError, read_settings
from ....runtime.text_file import read_text_file
from ....runtime.web_server import serve
from ....saga.errors import DefinitionError, Fault
from ...arguments.server_target import ServerTarget
from ...errors import CommandFailed
from ...terminal.output import emit, say
from .open_address import open_address


@dataclass(frozen=True, slots=True)
class InboxRequest:
    """What the command line says.

    Attributes:
        host: The address to listen on.
        port: The port; 0 for any.
        users: Who may sign in locally, as ``NAME=ROLE,ROLE``.
        anywhere: Whether passwords may come from other machines.
        web_ui_url: Temporal's Web UI; None for the one of the settings.
    """

    host: str
    port: int
    users: Sequence[str]
    anywhere: bool
    web_ui_url: str | None


async def serve_inbox(target: ServerTarget, request: InboxRequest, *, json: bool) -> None:
    """Serves the inbox of a namespace until the process is asked to stop.

    Args:
        target: The server.
        request: What the command line says.
        json: Whether to print where it is, and the passwords, as JSON.

    Raises:
        SettingsError: Settings cannot be used, or it would be unsafe to serve the inbox like this.
        CommandFailed: The port cannot be opened.
        ServerUnavailable: The server cannot be reached.
    """
    settings = read_settings()
    configure_logs(
        logging.StreamHandler(sys.stderr), json=settings.log_format == "json", level=settings.log_level
    )
    config = _config(settings, target, request)
    listening, address = open_address(request.host, request.port)
    client = await target.connect()
    port = listening.getsockname()[1]
    url = config.url or address

    def ready() -> None:
        say(f"The inbox of the namespace {client.namespace!r} is at {url}")
        people = config.sign_in.passwords if isinstance(config.sign_in, LocalSignIn) else {}
        for name, (_, password) in people.items():
            say(f"  {name} signs in with the password {password}")
        if json:
            passwords = {name: password for name, (_, password) in people.items()}
            emit({"url": url, "port": port, "passwords": passwords})

    await serve(make_app(client, config), listening, ready)
    say("The inbox is closed. What waits still waits.")


def _config(settings: Settings, target: ServerTarget, request: InboxRequest) -> InboxConfig:
    namespace = target.config.get("namespace") or "default"
    networks, faults = read_networks(settings.inbox_trusted_proxies)
    faults += url_faults("COUNTERSTEP_INBOX_URL", settings.inbox_url)
    web_ui = request.web_ui_url or settings.web_ui_url
    faults += url_faults("--web-ui-url" if request.web_ui_url else "COUNTERSTEP_WEB_UI_URL", web_ui)
    if web_ui is None and target.embedded is not None:
        web_ui = target.embedded.ui_url
    signer = None
    try:
        signer = _signer(settings)
    except DefinitionError as error:
        faults.append(Fault("COUNTERSTEP_INBOX_SIGNING_KEY", str(error)))
    sign_in: ProxySignIn | LocalSignIn
    if settings.inbox_sign_in == "header":
        if request.users:
            faults.append(Fault("--user", "the proxy says who it is (COUNTERSTEP_INBOX_SIGN_IN=header)"))
        sign_in = ProxySignIn(networks, settings.inbox_user_header, settings.inbox_groups_header)
    else:
        sign_in = _local(request.users or (_login_name(),))
    secret = settings.inbox_secret.get_secret_value() if settings.inbox_secret else secrets.token_hex(32)
    config = InboxConfig(
        request.host,
        sign_in,
        secret,
        settings.inbox_url.rstrip("/") if settings.inbox_url else None,
        f"{web_ui.rstrip('/')}/namespaces/{quote(namespace, safe='')}/workflows" if web_ui else None,
        signer,
    )
    if networks or not settings.inbox_trusted_proxies:
        faults += unsafe(config, anywhere=request.anywhere)
    if faults:
        raise SettingsError(faults)
    return config


def _signer(settings: Settings) -> DecisionSigner | None:
    path = settings.inbox_signing_key
    if path is None:
        return None
    return DecisionSigner(read_text_file(path), settings.decision_audience)


def _local(users: Sequence[str]) -> LocalSignIn:
    passwords = {}
    for user in users:
        name, _, roles = user.partition("=")
        person = SignedIn(name.strip(), tuple(filter(None, (role.strip() for role in roles.split(",")))))
        if not person.name or not person.name.isprintable() or len(person.name) > 200:
            raise CommandFailed(f"--user {user!r} names nobody; write it as NAME or NAME=ROLE,ROLE.")
        if person.name in passwords:
            raise CommandFailed(f"--user names {person.name} twice.")
        passwords[person.name] = (person, secrets.token_urlsafe(12))
    return LocalSignIn(passwords)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise CommandFailed("This machine does not know your name; say who you are with --user.") from None
