"""The tools of a process agent as an MCP server, by the MCP library's own server."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool

from ...saga.agents.model_protocol import ToolSchema
from ...saga.names import nearest
from ...saga.spec.arguments import canonical
from .request_identity import RequestKeys, digest
from .run_client import RunClient

logger = logging.getLogger("counterstep.gateway")


class ToolServer:
    """Offers the tools of one run."""

    def __init__(self, agent: str, tools: Sequence[ToolSchema], run: RunClient, keys: RequestKeys) -> None:
        """Prepares to offer tools.

        Args:
            agent: Whose process it is, for logs.
            tools: Which.
            run: Calls them.
            keys: Names the calls.
        """
        self._agent = agent
        self._tools = {tool.name: tool for tool in tools}
        self._run = run
        self._keys = keys

    def sessions(self, most_bytes: int) -> StreamableHTTPSessionManager:
        """Returns what serves them over streamable HTTP: each request stands for itself.

        Args:
            most_bytes: In one request.
        """
        server: Server[Any] = Server(
            "counterstep", version="1", on_list_tools=self._list, on_call_tool=self._call
        )
        return StreamableHTTPSessionManager(
            server,
            json_response=True,
            stateless=True,
            # The endpoint around it looks at the host and the token of every request.
            security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            max_request_body_size=most_bytes,
        )

    async def _list(self, _: Any, __: Any) -> ListToolsResult:
        return ListToolsResult(
            tools=[
                Tool(name=tool.name, description=tool.description, input_schema=tool.parameters)
                for tool in self._tools.values()
            ]
        )

    async def _call(self, _: Any, asked: CallToolRequestParams) -> CallToolResult:
        if asked.name not in self._tools:
            unknown = f"there is no tool {asked.name!r}{nearest(asked.name, self._tools)}"
            logger.warning("a call of the process of %s is refused: %s", self._agent, unknown)
            return _told(unknown, is_error=True)
        arguments = dict(asked.arguments or {})
        try:
            json.dumps(arguments, allow_nan=False)
        except ValueError:  # on their way to the run they would become null
            logger.warning("a call of the process of %s is refused: its arguments are not JSON", self._agent)
            return _told("the arguments are not JSON, which has neither NaN nor Infinity", is_error=True)
        key = self._keys.key("tool", digest([asked.name, canonical(arguments)]))
        call = asyncio.ensure_future(self._run.tool(key, asked.name, arguments))
        try:
            answer = await asyncio.shield(call)
        except asyncio.CancelledError:
            self._keys.abandon(
                key
            )  # the client is gone; the call goes on, and is answered if it is asked again
            raise
        if answer.refusal is not None:
            return _told(f"{answer.refusal.type}: {answer.refusal.message}", is_error=True)
        return _told(str(answer.value), is_error=answer.is_error)


def _told(text: str, *, is_error: bool) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)
