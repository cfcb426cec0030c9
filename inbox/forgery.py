"""Makes sure that a form was sent by the person who sees it, and from a page of the inbox."""

from __future__ import annotations

import hmac
import secrets
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from .inbox_config import InboxConfig
from .person import SignedIn

FIELD: Final = "csrf"

_SEED: Final = "seed"
_LARGEST: Final = 2_000_000
_MOST_FIELDS: Final = 2_000
_FORM: Final = "application/x-www-form-urlencoded"


def form_token(request: Request, person: SignedIn | None, config: InboxConfig) -> str:
    """Returns what every form shown to a person carries.

    It is bound to the session, and to the person: whoever plants a session of their own in somebody else's
    browser cannot make a form for it.
    """
    seed = request.session.setdefault(_SEED, secrets.token_urlsafe(24))
    text = f"{seed} {person.name if person is not None else ''}"
    return hmac.new(config.secret.encode(), text.encode(), "sha256").hexdigest()


async def read_form(request: Request, person: SignedIn | None, config: InboxConfig) -> dict[str, str]:
    """Reads a form that a person has sent.

    Returns:
        Its fields.

    Raises:
        HTTPException: It comes from another page, is too large or is not a form.
    """
    _expect_own_origin(request, config)
    fields = await _fields(request)
    expected = form_token(request, person, config)
    if not hmac.compare_digest(fields.get(FIELD, "").encode(), expected.encode()):
        raise HTTPException(403, "This form is from another session. Open the page anew; nothing was sent.")
    return fields


def _expect_own_origin(request: Request, config: InboxConfig) -> None:
    sent = request.headers.get("origin")
    if sent is None:
        # Browsers send it with every form; what leaves it out has to say where it comes from in another way.
        sent = _origin(request.headers.get("referer", ""))
    own = _origin(config.url) if config.url is not None else f"{request.url.scheme}://{request.url.netloc}"
    if sent.lower() != own.lower():
        raise HTTPException(403, "This form was sent from another page than the inbox; nothing was done.")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def _fields(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise HTTPException(415, "This is not a form of the inbox.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST:
            raise HTTPException(413, "This is too much text for one answer.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise HTTPException(400, "This form cannot be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise HTTPException(400, "This form has a field twice.")
    return fields
