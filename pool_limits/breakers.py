"""Circuit breakers, as calls meet them: models and tools that are sick are left alone by the whole pool."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from uuid import uuid4

from temporalio import activity

from ..saga.duration import format_duration
from .rules import BreakerRules
from .store import BACK_SOON, BreakerState, BreakerTerms, End, Passage, PoolStore, StoreUnreachable

logger = logging.getLogger("counterstep.pool")

_LONGEST_REASON = 200
_MILLISECOND = timedelta(milliseconds=1)
TRANSITIONS = "counterstep_breaker_transitions"
"""The metric that counts how often breakers have changed their state."""


class Breakers:
    """The breakers of one pool over one store.

    Where the store does not answer, calls go through: a breaker saves time, and guards nothing. It is not
    asked for a few seconds then, so that calls do not wait for it one after the other.
    """

    def __init__(self, rules: BreakerRules, store: PoolStore) -> None:
        """Takes breakers.

        Args:
            rules: When they open.
            store: Where their states are.
        """
        self.rules = rules
        self._store = store
        self._away_until = 0.0
        self._terms = BreakerTerms(
            rules.failures, rules.within // _MILLISECOND, rules.cool_down // _MILLISECOND
        )

    def guards(self, tool: str) -> bool:
        """Says whether a tool has a breaker."""
        return tool in self.rules.tools

    async def enter(self, name: str, longest: timedelta) -> Passage:
        """Asks whether a call may be made.

        Args:
            name: What is called.
            longest: How long the call may take. A probe that has not ended by then is taken for lost, but not
                before another cool-down is over.
        """
        if self._is_away:
            return Passage(True)
        lease = max(longest, self.rules.cool_down)
        try:
            passage = await self._store.ask(name, uuid4().hex, lease // _MILLISECOND)
        except StoreUnreachable as error:
            logger.warning("the breaker of %s cannot be asked, so that calls go through: %s", name, error)
            self._leave_alone()
            return Passage(True)
        if passage.probe is not None:
            _count(name, BreakerState.PROBING)
            logger.info("breaker of %s: one call tries whether it is well again", name)
        return passage

    async def leave(self, name: str, end: End, passage: Passage, reason: str = "") -> None:
        """Tells how a call has ended that was let through.

        Args:
            name: What was called.
            end: How it has ended.
            passage: What `enter` gave to the call.
            reason: Of a bad end: why.
        """
        if end is not End.BAD and passage.probe is None:
            return  # it is closed, and counts failures only
        if self._is_away and passage.probe is None:
            return
        short = reason[:_LONGEST_REASON]
        try:
            changed = await self._store.report(name, end, self._terms, passage.probe, short)
        except StoreUnreachable as error:
            logger.warning("the breaker of %s cannot be told: %s", name, error)
            self._leave_alone()
            return
        if changed is None:
            return
        _count(name, changed)
        if changed is BreakerState.OPEN:
            pause = format_duration(self.rules.cool_down)
            logger.warning("breaker of %s opened: it is left alone for %s; %s", name, pause, short)
        else:
            logger.info("breaker of %s closed: it is well again", name)

    @property
    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _leave_alone(self) -> None:
        self._away_until = time.monotonic() + BACK_SOON / 1000


def _count(name: str, state: BreakerState) -> None:
    if activity.in_activity():
        counter = activity.metric_meter().create_counter(TRANSITIONS, "Changes of circuit breakers")
        counter.add(1, {"breaker": name, "state": state.value})
