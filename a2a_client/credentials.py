"""Whether what is sent with each request is what a card asks for."""

from __future__ import annotations

from a2a.types import AgentCard

from .failures import RemoteAgentRefused
from .remote_terms import RemoteTerms


def check_credentials(card: AgentCard, terms: RemoteTerms, where: str) -> None:
    """Compares the declared headers with the card's security; whether their values are right, the agent says.

    Args:
        card: Its card.
        terms: What was declared of the agent.
        where: The address of the card.

    Raises:
        RemoteAgentRefused: It asks for something else.
    """
    given = {name.lower() for name in terms.headers}
    choices = []
    for requirement in card.security_requirements:
        wanted = {_wanted(card, name) for name in requirement.schemes}
        if all(header.lower() in given for header in wanted):
            return
        choices.append(" and ".join(sorted(wanted)))
    if choices:
        raise RemoteAgentRefused(
            f"{where} asks for {' or '.join(choices)[:300]}; declare it in headers, e.g. as env:VARIABLE"
        )


def _wanted(card: AgentCard, name: str) -> str:
    """Returns the header that a scheme asks for, or words that are no header for what is not known here."""
    scheme = card.security_schemes.get(name)
    kind = scheme.WhichOneof("scheme") if scheme is not None else None
    if scheme is None or kind in (None, "mtls_security_scheme"):
        return f"{name!r} (not known here)"
    if kind != "api_key_security_scheme":
        return "Authorization"
    key = scheme.api_key_security_scheme
    return (
        key.name
        if key.location.lower() == "header"
        else f"{key.name!r} in the {key.location} (not known here)"
    )
