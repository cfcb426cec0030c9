"""Checks whether a namespace has the search attributes by which tasks are found."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ..saga.record.search_attributes import SEARCH_ATTRIBUTES

RECHECK: Final = timedelta(minutes=1)
"""How often a worker looks again where some were missing, and a client tries them again."""

_TYPES: Final = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Double": IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
}

logger = logging.getLogger("counterstep")


async def missing_search_attributes(client: Client) -> tuple[str, ...]:
    """Asks the server which search attributes the client's namespace lacks or has with another type.

    Raises:
        RPCError: The server does not answer.
    """
    request = ListSearchAttributesRequest(namespace=client.namespace)
    known = (await client.operator_service.list_search_attributes(request)).custom_attributes
    return tuple(name for name, type_ in SEARCH_ATTRIBUTES.items() if known.get(name) != _TYPES[type_])


async def warn_of_missing(client: Client) -> bool:
    """Checks that the client's namespace has all of them, and logs the command that creates missing ones.

    Returns:
        Whether tasks can set them.
    """
    try:
        missing = await missing_search_attributes(client)
    except RPCError as error:
        logger.warning("search attributes cannot be listed, so tasks run without them: %s", error.message)
        return False
    if missing:
        logger.warning(
            "this namespace lacks search attributes, so tasks run without them; to create them: %s",
            creation_command(client.namespace, missing),
        )
    return not missing


async def until_created(client: Client) -> None:
    """Waits until the client's namespace has all of them, and all machines of the server know that."""
    while True:
        await asyncio.sleep(RECHECK.total_seconds())
        try:
            if not await missing_search_attributes(client):
                break
        except RPCError:
            continue
    # Only one machine of the cluster has answered; another one that lacks them still would hold up tasks.
    await asyncio.sleep(RECHECK.total_seconds())
    logger.info("this namespace has the search attributes now: tasks that start from here on have them")


def tells_of_missing(error: RPCError) -> bool:
    """Says whether the server has refused a request because the namespace lacks one of them."""
    return error.status is RPCStatusCode.INVALID_ARGUMENT and "Saga" in error.message


def creation_command(namespace: str, names: Collection[str] = tuple(SEARCH_ATTRIBUTES)) -> str:
    """Returns the command that creates search attributes, by default all of them."""
    flags = " ".join(f"--name {name} --type {SEARCH_ATTRIBUTES[name]}" for name in names)
    return f"temporal operator search-attribute create --namespace {namespace} {flags}"
