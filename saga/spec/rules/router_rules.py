"""Finds the faults of routers that show only beside the intents of their members."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import Fault
from ...names import nearest
from ..catalog import AgentEntry, Catalog
from ..teams.intent import Intent
from ..teams.member import key_of
from ..teams.router import Router

MAX_PHRASES = 1000
"""Phrases with which one router may compare; embedding models take some thousand texts at once."""

MAX_PHRASE_BYTES = 100_000
"""Bytes of these."""


def intents_of(team: Router, catalog: Catalog) -> dict[str, tuple[Intent, ...]]:
    """Returns what each member of a router takes, by what the team calls it; nothing for who says nothing."""
    known = {key_of(name): catalog.agents.get(name) for name in team.everybody if isinstance(name, str)}
    return {key: entry.intents for key, entry in known.items() if entry is not None and entry.intents}


def router_faults(agent: AgentEntry, catalog: Catalog, path: str) -> Iterator[Fault]:
    """Yields what is wrong with a router; nothing for other agents.

    Args:
        agent: The agent.
        catalog: What the worker offers.
        path: Where the team is written; empty for one that is registered.
    """
    team = agent.team
    if not isinstance(team, Router):
        return
    inside = f"{path}." if path else ""
    keys = [key_of(member) for member in team.members]
    takers = intents_of(team, catalog)
    intents = list(dict.fromkeys(intent.name for taken in takers.values() for intent in taken))
    if team.embedding is not None and not intents:
        message = "no member takes an intent to compare an input with; give them Agent(intents=[...])"
        yield Fault(f"{inside}embedding", message)
    phrases = {phrase for taken in takers.values() for intent in taken for phrase in intent.phrases}
    size = sum(len(phrase.encode()) for phrase in phrases)
    if len(phrases) > MAX_PHRASES or size > MAX_PHRASE_BYTES:
        message = (
            f"the intents of its members have {len(phrases)} phrases of {size} bytes; the most is "
            f"{MAX_PHRASES} of {MAX_PHRASE_BYTES}, as whoever is asked gets all of them"
        )
        yield Fault(f"{inside}members", message)
    for at, rule in enumerate(team.rules):
        if rule.intent is not None and rule.intent not in intents:
            message = f"no member takes the intent {rule.intent!r}{nearest(rule.intent, intents)}"
            yield Fault(f"{inside}rules[{at}].intent", message)
    for name in team.order:
        if name not in intents and name not in keys:
            message = f"there is neither an intent nor a member {name!r}{nearest(name, [*intents, *keys])}"
            yield Fault(f"{inside}order", message)
    for name in intents:
        if name in keys and name not in takers:
            yield Fault(f"{inside}members", f"{name!r} is an intent, and the name of a member without any")
