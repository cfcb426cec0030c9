"""Finds out who somebody is: from what a proxy says, or from a local login."""

from __future__ import annotations

import hmac
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from .inbox_config import InboxConfig, LocalSignIn, ProxySignIn
from .person import SignedIn

USER: Final = "user"
"""Where a session keeps who has signed in."""

_LONGEST: Final = 200
_MOST_ROLES: Final = 200


def person_of(request: Request, config: InboxConfig) -> SignedIn | None:
    """Returns who has sent a request; None where somebody has to sign in first.

    Raises:
        HTTPException: It does not come from the proxy (403), or the proxy does not say who it is (401).
    """
    if isinstance(config.sign_in, LocalSignIn):
        known = config.sign_in.passwords.get(request.session.get(USER, ""))
        return known[0] if known is not None else None
    return _person_of_proxy(request, config.sign_in)


def _person_of_proxy(request: Request, sign_in: ProxySignIn) -> SignedIn:
    if not sign_in.trusts(request.client.host if request.client else None):
        raise HTTPException(
            403, "Please use the address of the proxy: requests from elsewhere are not taken."
        )
    name = _header(request, sign_in.user_header)
    if len(name) > _LONGEST:
        raise HTTPException(400, f"The {sign_in.user_header} of the proxy is too long for a name.")
    if not name:
        raise HTTPException(401, f"The proxy does not say who you are: it sends no {sign_in.user_header}.")
    roles = [role.strip() for role in _header(request, sign_in.groups_header).split(",")]
    return SignedIn(name, tuple(dict.fromkeys(filter(None, roles)))[:_MOST_ROLES])


def _header(request: Request, name: str) -> str:
    """Returns the one value of a header; where a client could have added another, none counts."""
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise HTTPException(
            400, f"There is more than one {name}; the proxy has to replace what clients send."
        )
    text = "".join(values).strip()
    try:
        text = text.encode("latin-1").decode()
    except UnicodeError:
        raise HTTPException(400, f"The {name} of the proxy is not UTF-8.") from None
    if not text.isprintable():
        raise HTTPException(400, f"The {name} of the proxy has characters that cannot be seen.")
    return text


def check_password(sign_in: LocalSignIn, name: str, password: str) -> SignedIn | None:
    """Returns whose name and password these are; None if they are nobody's."""
    person, expected = sign_in.passwords.get(name, (None, ""))
    is_right = hmac.compare_digest(password.encode(), expected.encode())
    return person if is_right and expected else None
