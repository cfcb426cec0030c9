"""The inbox as an ASGI application."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from temporalio.client import Client
from temporalio.service import RPCError

from ..client.errors import UnknownTask
from ..runtime.codec import PayloadUnreadable
from ..runtime.connection import AWAY
from .inbox_config import InboxConfig
from .page_renderer import PageRenderer
from .pages import Pages
from .security_headers import SecurityHeaders
from .sign_in import person_of

SESSION_SECONDS: Final = 12 * 3600
_STATIC: Final = Path(__file__).parent / "static"


def make_app(client: Client, config: InboxConfig) -> ASGIApp:
    """Makes the application.

    Args:
        client: A connected client; it says which namespace the inbox is for.
        config: How the inbox is served, which was found safe.
    """
    renderer = PageRenderer(config, client.namespace)
    pages = Pages(client, config, renderer)
    faults = _Faults(renderer, config)
    cookie = "__Host-counterstep-inbox" if config.is_https else "counterstep-inbox"
    sessions = Middleware(
        SessionMiddleware,
        secret_key=config.secret,
        session_cookie=cookie,
        max_age=SESSION_SECONDS,
        same_site="lax",
        https_only=config.is_https,
    )
    app = Starlette(
        routes=[
            Route("/", pages.waiting, methods=["GET"]),
            Route("/find", pages.find, methods=["GET"]),
            Route("/tasks/{id:path}", pages.task, methods=["GET"]),
            Route("/tasks/{id:path}", pages.answer, methods=["POST"]),
            Route("/sign-in", pages.sign_in, methods=["GET", "POST"]),
            Route("/sign-out", pages.sign_out, methods=["POST"]),
            Route("/.well-known/jwks.json", pages.keys, methods=["GET"]),
            Route("/healthz", pages.health, methods=["GET"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        middleware=[sessions],
        exception_handlers={
            HTTPException: faults.of_request,
            UnknownTask: faults.of_task,
            PayloadUnreadable: faults.of_payload,
            RPCError: faults.of_server,
            Exception: faults.of_ours,
        },
    )
    return SecurityHeaders(app)


class _Faults:
    """Says in a sentence, with the right status, why a page cannot be shown."""

    def __init__(self, renderer: PageRenderer, config: InboxConfig) -> None:
        self._renderer = renderer
        self._config = config

    async def of_request(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        says_more = error.detail != HTTPStatus(error.status_code).phrase
        message = error.detail if says_more else "There is no such page, or it cannot be used like this."
        return self._page(request, error.status_code, message)

    async def of_task(self, request: Request, error: Exception) -> Response:
        return self._page(request, 404, str(error))

    async def of_payload(self, request: Request, error: Exception) -> Response:
        return self._page(request, 502, str(error))

    async def of_server(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RPCError)
        if error.status in AWAY:
            message = "The Temporal server does not answer. What was started is kept there; try again soon."
            return self._page(request, 503, message)
        return self._page(request, 502, f"The Temporal server refuses: {error.message.rstrip('. ')}.")

    async def of_ours(self, request: Request, error: Exception) -> Response:
        # The error itself goes on to the server, which logs it.
        return self._page(request, 500, "This is a fault in Counterstep; the inbox's log has its traceback.")

    def _page(self, request: Request, status: int, message: str) -> Response:
        title = HTTPStatus(status).phrase
        person = None
        with suppress(HTTPException):  # that is what may be told here
            person = person_of(request, self._config)
        return self._renderer.page(
            request, "problem.html", person=person, status=status, title=title, message=message
        )
