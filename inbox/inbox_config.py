"""How the inbox is served, and what of it would be unsafe."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ..saga.errors import Fault
from .person import SignedIn
from .signing import DecisionSigner

HTTPS: Final = "https"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class ProxySignIn:
    """A proxy in front of the inbox says who somebody is.

    Attributes:
        proxies: The addresses that are believed.
        user_header: The header with the name.
        groups_header: The header with the roles, separated by commas.
    """

    proxies: tuple[Network, ...]
    user_header: str = "X-Forwarded-User"
    groups_header: str = "X-Forwarded-Groups"

    def trusts(self, address: str | None) -> bool:
        """Returns whether a request from this address is the proxy's."""
        if address is None:
            return False
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return any((mapped or found) in network for network in self.proxies)


@dataclass(frozen=True, slots=True)
class LocalSignIn:
    """People sign in with a password that was printed when the inbox started; for development.

    Attributes:
        passwords: The people by their names, each with a password.
    """

    passwords: dict[str, tuple[SignedIn, str]]


@dataclass(frozen=True, slots=True)
class InboxConfig:
    """How the inbox is served.

    Attributes:
        host: The address that it listens on.
        sign_in: How it finds out who somebody is.
        secret: Signs the cookies of sessions.
        url: Where people find it, if that is known; its links and its check of origins use it.
        web_ui: The address of a namespace in Temporal's Web UI, up to the workflow's id; None without one.
        signer: Signs what people decide; None where decisions are claims.
    """

    host: str
    sign_in: ProxySignIn | LocalSignIn
    secret: str
    url: str | None = None
    web_ui: str | None = None
    signer: DecisionSigner | None = None

    @property
    def is_https(self) -> bool:
        """Whether people reach it by TLS, so that its cookies are for TLS only."""
        return self.url is not None and urlsplit(self.url).scheme == HTTPS


def read_networks(names: Sequence[str]) -> tuple[tuple[Network, ...], list[Fault]]:
    """Reads addresses and networks, e.g. ``10.0.0.7`` or ``10.0.0.0/8``; returns them and all faults."""
    networks, faults = [], []
    for name in names:
        try:
            networks.append(ipaddress.ip_network(name))
        except ValueError as error:
            faults.append(Fault("COUNTERSTEP_INBOX_TRUSTED_PROXIES", str(error)))
    return tuple(networks), faults


def url_faults(variable: str, url: str | None) -> list[Fault]:
    """Says what is wrong with an address of a web page."""
    if url is None:
        return []
    parts = urlsplit(url)
    if parts.scheme not in ("http", HTTPS) or not parts.hostname or parts.query or parts.fragment:
        return [Fault(variable, f"{url!r} is not an address like https://inbox.example.com")]
    return []


def unsafe(config: InboxConfig, *, anywhere: bool) -> list[Fault]:
    """Returns why the inbox must not be served like this; empty where it may.

    Args:
        config: How it is to be served.
        anywhere: Whether somebody has said that passwords may be sent to it from other machines.
    """
    return list(_unsafe(config, anywhere))


def _unsafe(config: InboxConfig, anywhere: bool) -> Iterator[Fault]:
    if isinstance(config.sign_in, LocalSignIn):
        if not _is_loopback(config.host) and not anywhere:
            yield Fault(
                "--host",
                f"{config.host} is reached from other machines, and a local login is for this one; let a "
                "proxy sign people in (COUNTERSTEP_INBOX_SIGN_IN=header), or say --anywhere if only TLS or "
                "this machine's own ports lead here",
            )
        return
    if not config.sign_in.proxies:
        yield Fault(
            "COUNTERSTEP_INBOX_TRUSTED_PROXIES",
            "name the addresses of the proxy: whoever else can reach the inbox could sign in as anybody",
        )
    if any(network.prefixlen == 0 for network in config.sign_in.proxies):
        yield Fault(
            "COUNTERSTEP_INBOX_TRUSTED_PROXIES", "a network of all addresses lets anybody sign in as anybody"
        )
    if config.url is None:
        yield Fault(
            "COUNTERSTEP_INBOX_URL",
            "say where people find the inbox behind the proxy: forms count from there only",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
