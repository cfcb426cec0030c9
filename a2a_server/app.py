"""The web application: the card, and both bindings."""

from __future__ import annotations

from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.types import a2a_pb2 as pb
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from ..runtime.signing_key import SigningKey
from .callers import Callers
from .door import KEYS_PATH, Door


def make_app(
    handler: RequestHandler, card: pb.AgentCard, url: str, callers: Callers | None, key: SigningKey | None
) -> ASGIApp:
    """Returns what serves an agent.

    Args:
        handler: Answers the requests.
        card: The agent's card.
        url: Where it is called.
        callers: Who may call; None for everybody on this machine.
        key: With which the card is signed; its public half is served.
    """

    async def keys(_: Request) -> JSONResponse:
        return JSONResponse(key.public_keys if key is not None else {"keys": []})

    routes: list[BaseRoute] = [
        *create_agent_card_routes(card),
        Route(KEYS_PATH, keys, methods=["GET"]),
        *create_jsonrpc_routes(handler, "/"),
        *create_rest_routes(handler),
    ]
    return Door(Starlette(routes=routes), url, callers)
