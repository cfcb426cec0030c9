"""Renders pages from the templates."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from .answers import Said
from .forgery import form_token
from .inbox_config import InboxConfig, LocalSignIn
from .person import SignedIn
from .visible_text import visible

TEMPLATES: Final = Path(__file__).parent / "templates"

LIVE: Final = "X-Live"
"""The header with which a page asks for itself again."""

_SAID: Final = "said"


class PageRenderer:
    """Fills templates in; all texts are escaped, whatever they are."""

    def __init__(self, config: InboxConfig, namespace: str) -> None:
        """Reads the templates.

        Args:
            config: How the inbox is served.
            namespace: The namespace that it is for.
        """
        self._config = config
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["namespace"] = namespace
        self._templates.filters |= {"visible": _visible, "moment": _moment, "path": _path, "json": _json}

    def page(
        self,
        request: Request,
        template: str,
        *,
        person: SignedIn | None = None,
        status: int = 200,
        said: Said | None = None,
        **values: Any,
    ) -> Response:
        """Returns a page.

        Args:
            request: What asks for it.
            template: The name of its template.
            person: Who is signed in.
            status: Its HTTP status.
            said: What became of an answer; by default what the session keeps of the last one.
            **values: What the template needs besides.
        """
        is_live = LIVE in request.headers
        if said is None and not is_live:
            said = _take(request)
        html = self._templates.get_template(template).render(
            person=person,
            csrf=form_token(request, person, self._config),
            is_local=isinstance(self._config.sign_in, LocalSignIn),
            said=said,
            **{"live": False, **values},
        )
        tag = f'"{hashlib.sha256(html.encode()).hexdigest()[:32]}"'
        if is_live and request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        # Only pages that may be put in the place of what is shown have one.
        return HTMLResponse(html, status, headers={"ETag": tag} if values.get("live") else None)


def keep(request: Request, said: Said) -> None:
    """Keeps for the next page what became of an answer."""
    request.session[_SAID] = [said.text[:1000], said.is_done]


def _take(request: Request) -> Said | None:
    kept = request.session.pop(_SAID, None)
    return Said(kept[0], kept[1]) if isinstance(kept, list) and len(kept) == 2 else None


def _visible(value: Any) -> str:
    return visible(str(value))


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


def _path(id: str) -> str:
    return quote(id, safe="")


def _json(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return visible(text)
