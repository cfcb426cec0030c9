"""Whether a namespace has the search attributes by which tasks are found."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from ..saga.record.search_attributes import SEARCH_ATTRIBUTES

RECHECK: Final = timedelta(minutes=1)
"""How often a worker looks again where some were missing."""

_TYPES: Final = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Double": IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
}

logger = logging.getLogger("counterstep")


async def missing_search_attributes(client: Client) -> tuple[str, ...]:
    """Asks the server which ones the client's namespace lacks, or has with another type.

    Raises:
        RPCError: The server does not say.
    """
    request = ListSearchAttributesRequest(namespace=client.namespace)
    known = (await client.operator_service.list_search_attributes(request)).custom_attributes
    return tuple(name for name, type_ in SEARCH_ATTRIBUTES.items() if known.get(name) != _TYPES[type_])


async def warn_of_missing(client: Client) -> bool:
    """Looks whether the client's namespace has them all, and logs the command that creates what it lacks.

    Returns:
        Whether tasks can be shown with them.
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
    """Returns when the client's namespace has them all, and its server has had time to learn of them."""
    while True:
        await asyncio.sleep(RECHECK.total_seconds())
        try:
            if not await missing_search_attributes(client):
                break
        except RPCError:
            continue
    # One machine of a cluster has said so. To use what another does not know yet would hold up the task.
    await asyncio.sleep(RECHECK.total_seconds())
    logger.info("this namespace has the search attributes now: tasks that start from here on have them")


def creation_command(namespace: str, names: Collection[str] = tuple(SEARCH_ATTRIBUTES)) -> str:
    """Returns the command that creates search attributes: all of them where none are named."""
    flags = " ".join(f"--name {name} --type {SEARCH_ATTRIBUTES[name]}" for name in names)
    return f"temporal operator search-attribute create --namespace {namespace} {flags}"
