"""Whether the workers of a queue offer the same."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError

from ..runtime.connection import poller_identities
from ..saga.spec.catalog import Catalog

RECHECK: Final = timedelta(minutes=1)
"""How often a worker looks at the others of its queue."""

LONG: Final = timedelta(minutes=10)
"""A deployment that is still rolling may take so long; workers that differ for longer are told of."""

_IDENTITY: Final = re.compile(r"^counterstep-(?P<offers>[0-9a-f]{8})/")

logger = logging.getLogger("counterstep")


def identity_of_worker(catalog: Catalog, client_identity: str, start_rules: Iterable[str] = ()) -> str:
    """Returns the identity under which a worker asks for work: what it offers is a part of it.

    Args:
        catalog: What the worker offers.
        client_identity: The identity of its client, ``PID@HOST`` unless its user has chosen another one.
        start_rules: The names of its rules for events.
    """
    kinds = (catalog.tools, catalog.agents, catalog.validators, catalog.compensations, catalog.tasks)
    names = [*(sorted(kind) for kind in kinds), sorted(catalog.workflows)]
    if rules := sorted(start_rules):
        names.append(rules)
    offers = hashlib.sha256(repr(names).encode()).hexdigest()[:8]
    return f"counterstep-{offers}/{client_identity}"


def differing(own: str, identities: Iterable[str]) -> list[str]:
    """Returns the identities of workers that offer something else than the one with the identity `own`."""
    mine = _IDENTITY.match(own)
    others = ((identity, _IDENTITY.match(identity)) for identity in identities)
    return sorted(
        identity for identity, match in others if mine and match and match["offers"] != mine["offers"]
    )


async def watch_queue(client: Client, task_queue: str, own: str) -> None:
    """Warns, each time anew, when the workers of a queue have not offered the same for long.

    Args:
        client: Any client.
        task_queue: The queue.
        own: The identity of the worker that looks.
    """
    checks = 0
    while True:
        await asyncio.sleep(RECHECK.total_seconds())
        try:
            others = differing(own, await poller_identities(client, task_queue))
        except RPCError:
            continue  # the server is away; the worker itself tells of that
        checks = checks + 1 if others else 0
        if checks * RECHECK >= LONG:
            checks = 0
            logger.warning(
                "the workers of the queue %r do not offer the same: %s has other bundles than this one, %s, "
                "or other versions of them. A task or a call of a name that only some of them know waits for "
                "these, and fails after ten minutes. Give all workers of a queue the same bundles.",
                task_queue,
                ", ".join(others),
                own,
            )
