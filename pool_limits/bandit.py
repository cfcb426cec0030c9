"""Draws one of several agents: mostly who does best, and now and then one of whom less is known.

This is Thompson sampling (Thompson 1933; Chapelle & Li, NIPS 2011): of each agent a success rate is drawn
from what is believed of it, a beta distribution over its outcomes, and the highest one does the job.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from ..saga.routing.selection import Chance, Selection
from .outcomes import Standing

PRIOR: Final = 1.0
"""How much good, and how much bad, everybody begins with: any success rate is as likely as any other."""


def select(standings: Mapping[str, Standing], ahead: int, rng: random.Random, *, known: bool) -> Selection:
    """Draws an agent.

    Args:
        standings: What is known of each; at least one.
        ahead: Who has more calls under way than the least busy, by more than this, is left out.
        rng: Draws.
        known: Whether that is what the store has said.
    """
    most = min(standing.load for standing in standings.values()) + ahead
    chances = {name: _chance(standing, most, rng) for name, standing in standings.items()}
    best = max(chances, key=lambda name: -1.0 if (drawn := chances[name].draw) is None else drawn)
    return Selection(agent=best, chances=chances, known=known)


def _chance(standing: Standing, most: int, rng: random.Random) -> Chance:
    drawn = None
    if standing.load <= most:
        drawn = round(rng.betavariate(PRIOR + standing.good, PRIOR + standing.bad), 6)
    return Chance(draw=drawn, good=standing.good, bad=standing.bad, load=standing.load)
