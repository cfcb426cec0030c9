"""What the workers of a pool share: its limits, its breakers, and how models without a price are treated."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ..observability.redaction import redacted
from ..saga.errors import DefinitionError, Fault, SpecError
from ..saga.fault_texts import faults_in
from ..saga.limits.unpriced import IGNORED, UnpricedModels
from .breakers import Breakers
from .latencies import Latencies
from .memory_store import MemoryStore
from .rules import PoolRules
from .rules_file import read_rules
from .shared_limits import SharedLimits
from .store import PoolStore, StoreUnreachable

if TYPE_CHECKING:
    from .redis_store import RedisStore

logger = logging.getLogger("counterstep.pool")

REDIS_URL = "COUNTERSTEP_REDIS_URL"


class Pool:
    """What the calls of one worker meet before they are made.

    Attributes:
        limits: The limits.
        breakers: The breakers.
        unpriced: How models without a known price are treated.
        store: Where limits and breakers are counted.
        latencies: How long calls have taken.
    """

    def __init__(
        self,
        rules: PoolRules | None = None,
        store: PoolStore | None = None,
        unpriced: UnpricedModels = IGNORED,
    ) -> None:
        """Joins rules and a store.

        Args:
            rules: What a limits file says; None for no limits, and breakers as they are by default.
            store: Where it is counted; None for this process alone.
            unpriced: How models without a known price are treated.
        """
        rules = rules or PoolRules()
        self.store = store or MemoryStore()
        self.unpriced = unpriced
        self.limits = SharedLimits(rules.limits, self.store)
        self.breakers = Breakers(rules.breakers, self.store)
        self.latencies = Latencies(self.store)

    async def open(self) -> None:
        """Makes sure that the store answers, and says where limits are counted.

        Raises:
            DefinitionError: It does not.
        """
        try:
            await self.store.open()
        except StoreUnreachable as error:
            raise DefinitionError(f"{REDIS_URL}: {_unreachable(error)}") from None
        if self.limits.binds and not self.store.is_shared:
            names = ", ".join(self.limits.names)
            hint = f"set {REDIS_URL} on all workers of the pool"
            logger.warning("limits (%s) and breakers are counted by this process alone: %s", names, hint)

    async def close(self) -> None:
        """Ends what this event loop holds open."""
        await self.latencies.close()
        await self.store.close()


def make_pool(
    limits: str | Path | None, redis_url: str | None, unpriced: Any, tools: Collection[str] | None = None
) -> Pool:
    """Makes what settings describe.

    Args:
        limits: The limits file.
        redis_url: The Redis.
        unpriced: How models without a known price are treated: `UnpricedModels`, or what it reads.
        tools: The tools that the worker offers; None where nobody knows.

    Raises:
        SpecError: The file has faults, or the address is not one, or its package is not installed; all faults
            are told.
    """
    faults: list[Fault] = []
    rules, store = PoolRules(), None
    try:
        rules = read_rules(Path(limits), tools) if limits is not None else rules
    except SpecError as error:
        faults += error.faults
    try:
        store = open_redis(redis_url) if redis_url is not None else None
    except DefinitionError as error:
        faults.append(Fault(REDIS_URL, str(error)))
    treated = IGNORED
    try:
        treated = UnpricedModels.model_validate(unpriced)
    except ValidationError as error:
        faults.append(Fault("COUNTERSTEP_UNPRICED_MODELS", faults_in(error)))
    if faults:
        raise SpecError(faults)
    return Pool(rules, store, treated)


def open_redis(url: str) -> RedisStore:
    """Prepares to use a Redis; nothing is sent yet.

    Args:
        url: Where it is.

    Raises:
        DefinitionError: The address is not one, or the package is not installed.
    """
    try:
        from .redis_store import RedisStore
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] != "redis":
            raise
        raise DefinitionError("needs a package: pip install 'counterstep[redis]'") from None
    try:
        return RedisStore(url)
    except ValueError as error:
        raise DefinitionError(f"is not the address of a Redis: {error}") from None


async def store_faults(url: str | None) -> list[Fault]:
    """Says why a Redis cannot be used now; nothing where it answers.

    Args:
        url: Where it is; None where there is none. An address that is not one is told by `make_pool`.
    """
    if url is None:
        return []
    try:
        store = open_redis(url)
    except DefinitionError:
        return []
    try:
        await store.open()
    except StoreUnreachable as error:
        return [Fault(REDIS_URL, _unreachable(error))]
    finally:
        await store.close()
    return []


def _unreachable(error: StoreUnreachable) -> str:
    return f"the store of limits cannot be reached: {redacted(str(error)).rstrip('. ')}"
