"""What became of a request that has failed, as the failure of its call."""

from __future__ import annotations

from pydantic import ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from ..saga.errors import FailureType
from ..saga.failure import trim
from ..saga.fault_texts import faults_in
from .connections import McpConnection
from .mcp_server import McpServer
from .results import told


def failed(type_: FailureType, message: str, *, final: bool = True) -> ApplicationError:
    """Returns the failure of a call; that nothing happened is believed of its first attempt only."""
    attempt = {"attempt": activity.info().attempt}
    return ApplicationError(trim(message), attempt, type=type_, non_retryable=final)


def not_admitted(error: Exception) -> bool:
    """Says whether a server has refused who asks; asking again at once is of no use then."""
    from .limited_http import NOT_ADMITTED, http_status_of

    return http_status_of(error) in NOT_ADMITTED


def request_failure(
    server: McpServer, connection: McpConnection, error: Exception, *, repeatable: bool
) -> ApplicationError:
    """Returns what the failure of a request comes to; a connection that it has broken is retired.

    Args:
        server: Who was asked.
        connection: Through which.
        error: What the client library has raised.
        repeatable: Whether the request may be made again when its outcome is unknown.
    """
    from mcp import MCPError
    from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT

    from .limited_http import SESSION_GONE, UNKNOWN_OUTCOME, http_status_of

    said = (str(error).strip() or type(error).__name__).split("\n", 1)[0]
    said = faults_in(error) if isinstance(error, ValidationError) else said
    code = error.code if isinstance(error, MCPError) else None
    status = http_status_of(error)
    type_, again = FailureType.MCP_FAILED, False
    if not_admitted(error) or status == SESSION_GONE:
        type_, again = FailureType.NOT_APPLIED, True
        connection.retired = True
    elif code == REQUEST_TIMEOUT or isinstance(error, TimeoutError):
        type_, again, said = FailureType.TIMEOUT, True, "it has not answered in time"
        connection.retired = True
    elif isinstance(error, RuntimeError | ValueError):
        # The library does not understand the answer, or it is not what the tool's output schema says.
        type_, said = FailureType.INVALID_OUTPUT, f"its answer is refused: {said}"
    elif code in (None, CONNECTION_CLOSED):
        why = connection.last_words.told() or said
        again, said = True, f"the connection was lost in the middle of the call: {why}"
        connection.retired = True
    elif status in UNKNOWN_OUTCOME:
        again = True
    text = told(f"MCP server {server.name}: {said}", server.secrets)
    return failed(type_, text, final=not (again and repeatable))
