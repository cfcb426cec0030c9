"""Connects with Temporal's own configuration, or says in one sentence why that is not possible."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from typing import Any, Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.client import Client, Plugin
from temporalio.converter import PayloadCodec
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode

from ..saga.errors import ServerUnavailable
from .codec import explaining_converter

DEFAULT_ADDRESS: Final = "localhost:7233"

CONNECT_SECONDS: Final = 5.0
"""How long a server may take to answer at all."""

POLL_SECONDS: Final = 70.0
"""A worker asks its queue for work at least this often: one request waits 60 s for it."""

AWAY: Final = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.UNKNOWN,
        RPCStatusCode.INTERNAL,
    }
)
"""What an `RPCError` says where a server does not answer any more."""

_NO_TLS: Final = "it does not speak TLS"
_NOT_TRUSTED: Final = "its certificate is not trusted"
_NEXT_STEPS: Final = {
    _NO_TLS: "TEMPORAL_API_KEY, TEMPORAL_TLS_* or a profile asks for TLS: set TEMPORAL_TLS=false, or name an "
    "address with TLS.",
    _NOT_TRUSTED: "Name its authority with TEMPORAL_TLS_SERVER_CA_CERT_PATH.",
}


def read_connection(address: str | None = None, namespace: str | None = None) -> ClientConnectConfig:
    """Reads where to connect from Temporal's variables ``TEMPORAL_*`` and its configuration file.

    Args:
        address: ``host:port``, which overrides the configured address.
        namespace: The namespace, which overrides the configured one.

    Returns:
        The arguments of ``Client.connect``; ``target_host`` is missing if no address is configured.

    Raises:
        ServerUnavailable: The configuration cannot be read.
    """
    try:
        config = ClientConfig.load_client_connect_config()
    except (RuntimeError, OSError, ValueError) as error:
        raise ServerUnavailable(f"Temporal's own configuration cannot be read: {error}") from None
    if address is not None:
        config["target_host"] = address
    if namespace is not None:
        config["namespace"] = namespace
    return config


async def connect(
    config: ClientConnectConfig, plugins: Sequence[Plugin] = (), *, codec: PayloadCodec | None = None
) -> Client:
    """Connects, and makes sure that a Temporal server with this namespace answers.

    Args:
        config: The arguments from `read_connection`.
        plugins: The plugins of the client and its workers.
        codec: What encodes and decodes all that is sent and read; None where it is sent as it is.

    Returns:
        The client.

    Raises:
        ServerUnavailable: No Temporal server answers within 5 s, or it does not have the namespace.
    """
    arguments: dict[str, Any] = {"target_host": DEFAULT_ADDRESS, **config}
    address = arguments["target_host"]
    if not re.fullmatch(r"[^/\s]+:[0-9]{1,5}", address):
        raise ServerUnavailable(
            f"{address!r} is not an address; write it as host:port, e.g. {DEFAULT_ADDRESS}."
        )
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            client = await Client.connect(
                **arguments, plugins=plugins, data_converter=explaining_converter(codec)
            )
            await _expect_namespace(client)
    except TimeoutError:
        reason = f"it accepts the connection but does not answer within {CONNECT_SECONDS:.0f} s"
        raise _unavailable(address, reason) from None
    except RPCError as error:
        raise _refused(address, arguments.get("namespace", "default"), error) from None
    except (RuntimeError, ValueError) as error:
        raise _unavailable(address, _reason(str(error))) from None
    return client


async def has_workers(client: Client, task_queue: str, *, host: str = "") -> bool:
    """Returns whether a worker has asked `task_queue` for work lately.

    The server remembers workers for minutes, so one that has just been killed still counts, for 70 s.

    Args:
        client: Any client.
        task_queue: The queue.
        host: The machine whose workers count; empty for any machine.

    Raises:
        RPCError: The server does not answer.
    """
    identities = await poller_identities(client, task_queue)
    return any(identity.endswith(f"@{host}" if host else "") for identity in identities)


async def poller_identities(client: Client, task_queue: str) -> list[str]:
    """Returns the identities of the workers that have asked `task_queue` for work lately.

    Raises:
        RPCError: The server does not answer.
    """
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        ),
        retry=True,
    )
    recently = time.time() - POLL_SECONDS
    return [
        poller.identity
        for poller in answer.pollers
        if poller.last_access_time.ToNanoseconds() / 1e9 >= recently
    ]


def log_through_python() -> None:
    """Sends what the SDK's core would print to the logger ``temporalio.core``; call it before any client."""
    core = logging.getLogger("temporalio.core")
    verbose = core.isEnabledFor(logging.DEBUG)
    telemetry = TelemetryConfig(
        logging=LoggingConfig(
            filter=TelemetryFilter(core_level="DEBUG" if verbose else "WARN", other_level="ERROR"),
            forwarding=LogForwardingConfig(
                logger=core, append_target_to_name=False, prepend_target_on_message=False
            ),
        )
    )
    Runtime.set_default(Runtime(telemetry=telemetry), error_if_already_set=False)


async def _expect_namespace(client: Client) -> None:
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        await client.workflow_service.describe_namespace(request, retry=True)
    except RPCError as error:
        if error.status is RPCStatusCode.PERMISSION_DENIED:
            return  # it may still be good enough for tasks
        raise


def _unavailable(address: str, reason: str) -> ServerUnavailable:
    message = f"No Temporal server can be used at {address}: {reason.rstrip('. ')}."
    if reason in _NEXT_STEPS:
        return ServerUnavailable(f"{message} {_NEXT_STEPS[reason]}")
    return ServerUnavailable(
        f"{message} Start one with `counterstep server`, or name one with --address or TEMPORAL_ADDRESS."
    )


def _refused(address: str, namespace: str, error: RPCError) -> ServerUnavailable:
    """Explains the error of a server that does answer."""
    said = error.message.rstrip(". ")
    if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
        return ServerUnavailable(
            f"The Temporal server at {address} has no namespace {namespace!r}: {said}. Name another one with "
            "--namespace or TEMPORAL_NAMESPACE, or create it there."
        )
    if error.status is RPCStatusCode.UNAUTHENTICATED:
        message = (
            f"The Temporal server at {address} does not let you in: {said}. Check TEMPORAL_API_KEY and TLS."
        )
        return ServerUnavailable(message)
    return _unavailable(address, error.message)


def _reason(text: str) -> str:
    """Returns the part of a message of the SDK's core that people can read."""
    if "InvalidContentType" in text:
        return _NO_TLS
    if "dns error" in text:
        return "its name cannot be resolved"
    if "InvalidCertificate" in text or "invalid peer certificate" in text:
        return _NOT_TRUSTED
    if "Unimplemented" in text or "404" in text:
        return "what answers there is no Temporal server"
    messages = re.findall(r'message: "([^"]+)"', text)
    return messages[-1] if messages else text.removeprefix("Failed client connect: ")[:300]
