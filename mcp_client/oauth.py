"""Tokens by client credentials of OAuth, and why there is none."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncGenerator

import httpx2
from mcp.client.auth import OAuthFlowError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from .mcp_server import McpServer

# What fails is said by the call that fails; the library's traceback says it again, with the server's words.
logging.getLogger("mcp.client.auth.oauth2").setLevel(logging.CRITICAL)

NO_TOKEN = "counterstep.no_token"
"""The extension of a request that says why it has no token."""


class ClientCredentials(ClientCredentialsOAuthProvider):
    """Gives each request a token; one without a token is sent all the same, and refused by the server.

    So it is that request which fails, as one that was not admitted, and not the whole connection.
    """

    def __init__(self, server: McpServer) -> None:
        """Reads the credentials of a server that has some."""
        said = server.oauth
        super().__init__(
            server_url=server.address,
            storage=_InMemory(server),
            client_id=said["client_id"],
            client_secret=said["client_secret"],
            scope=said.get("scope"),
            issuer=said["issuer"],
        )
        server.learn_secret(
            base64.b64encode(f"{said['client_id']}:{said['client_secret']}".encode()).decode()
        )

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """See base class."""
        flow = super().async_auth_flow(request)
        try:
            outgoing = await anext(flow)
            while True:
                response = yield outgoing
                outgoing = await flow.asend(response)
        except StopAsyncIteration:
            return
        except OAuthFlowError as error:
            request.extensions = {**request.extensions, NO_TOKEN: str(error)}
            yield request
        finally:
            await flow.aclose()


class _InMemory:
    """Keeps tokens as long as the connection lives."""

    def __init__(self, server: McpServer) -> None:
        self._server = server
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens
        for secret in (tokens.access_token, tokens.refresh_token):
            if secret:
                self._server.learn_secret(secret)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info
