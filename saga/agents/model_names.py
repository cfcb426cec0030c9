"""What models call the tools and agents that they are offered."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import chain, count
from typing import Final, TypeVar

from ..spec.catalog import AgentEntry, ToolEntry
from .model_protocol import ASK_PERSON
from .transfers import Transfers

E = TypeVar("E", ToolEntry, AgentEntry)

_LONGEST_NAME: Final = 64


def by_model_name(entries: Iterable[E], reserved: Collection[str]) -> dict[str, E]:
    """Names tools, or agents, as providers allow: without their bundle, or with it where two are alike.

    Args:
        entries: What is offered.
        reserved: Names that are taken already.
    """
    named: dict[str, E] = {}
    for entry in entries:
        full = re.sub(r"[^A-Za-z0-9_-]", "__", entry.name)[-_LONGEST_NAME:]
        short = re.sub(r"[^A-Za-z0-9_-]", "_", entry.name.rpartition(".")[2])[-_LONGEST_NAME:]
        numbered = (f"tool_{number}" for number in count(1))
        name = next(n for n in chain((short, full), numbered) if n not in named and n not in reserved)
        named[name] = entry
    return named


def taken_names(agent: AgentEntry, transfers: Transfers | None) -> frozenset[str]:
    """Returns what an agent is offered by a name that its tools and delegates must not have.

    Args:
        agent: The agent.
        transfers: To whom it may hand its conversation over; None for nobody.
    """
    asks = frozenset({ASK_PERSON.name} if agent.may_ask is not None else ())
    return asks if transfers is None else asks | transfers.names
