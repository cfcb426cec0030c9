"""The activities over what the pool knows of agents."""

from __future__ import annotations

import logging
import random
from typing import Any, Final

from temporalio import activity

from ..pool_limits import bandit
from ..pool_limits.outcomes import OutcomeStore, Standing
from ..pool_limits.store import StoreUnreachable
from ..saga.history_format import NOTE_OUTCOMES, SELECT_AGENT
from ..saga.routing.outcomes import Outcomes
from ..saga.routing.selection import SelectionRequest

logger = logging.getLogger("counterstep.pool")

_UNTIL_IT_CALLS: Final = 5_000
"""Milliseconds for which a draw itself counts as a call under way: those who draw at once see each other."""


class AgentOutcomes:
    """Tells the pool of one worker how well agents have done, and asks it who is to do a job."""

    def __init__(self, store: OutcomeStore, rng: random.Random | None = None) -> None:
        """Prepares to use a store.

        Args:
            store: The store.
            rng: Draws; None for one with a seed of its own.
        """
        self._store = store
        self._rng = rng or random.Random()

    @activity.defn(name=NOTE_OUTCOMES)
    async def note_outcomes(self, told: Any) -> int:
        """Counts outcomes; what a store that is away does not take is lost, and nothing fails for it.

        Args:
            told: `Outcomes` as JSON.

        Returns:
            How many of them are new.
        """
        new = 0
        try:
            for outcome in Outcomes.model_validate(told).outcomes:
                new += await self._store.note(outcome)
        except StoreUnreachable as error:
            logger.warning("outcomes of agents are lost: %s", error)
        return new

    @activity.defn(name=SELECT_AGENT)
    async def select_agent(self, asked: Any) -> Any:
        """Draws one of several agents that could do a job; every replay has the result from the history.

        Args:
            asked: A `SelectionRequest` as JSON.

        Returns:
            A `Selection` as JSON; with a store that is away it is drawn as if nothing was known of anybody.
        """
        question = SelectionRequest.model_validate(asked)
        standings, known = {name: Standing() for name in question.agents}, True
        try:
            standings = await self._store.standings(question.agents)
        except StoreUnreachable as error:
            logger.warning("an agent is drawn without what is known of it: %s", error)
            known = False
        selection = bandit.select(standings, question.ahead, self._rng, known=known)
        if known and question.key:
            try:
                await self._store.begin(selection.agent, f"draw/{question.key}", _UNTIL_IT_CALLS)
            except StoreUnreachable as error:
                logger.info("a draw is not counted: %s", error)
        return selection.model_dump(mode="json")
