"""Says what a name is in the bundles that is not what it is used for."""

from __future__ import annotations

from collections.abc import Iterable

from ...names import nearest
from ..catalog import Catalog

_KINDS = (
    (
        "compensation",
        "compensations",
        "a compensation of the bundle; it runs by itself when a call is undone",
    ),
    ("validator", "validators", "a validator of the bundle; name it under validate, as check"),
    ("tool", "tools", "a tool of the bundle, and not {}"),
    ("agent", "agents", "an agent of the bundle, and not {}"),
    ("task", "tasks", "a task of the bundle, and not {}"),
)


def other_kind(name: str, catalog: Catalog, *, but: str) -> str:
    """Says what a name is in the bundles, if it is something else than what it is used for.

    Args:
        name: The full name.
        catalog: What the bundles offer.
        but: What it is used for: compensation, validator, tool, agent or task.

    Returns:
        What follows the name in a message; empty where nothing else has this name.
    """
    if name in catalog.not_offered:
        return f"is not offered: {catalog.not_offered[name]}"
    wanted = f"{'an' if but == 'agent' else 'a'} {but}"
    found = (said for kind, names, said in _KINDS if kind != but and name in getattr(catalog, names))
    said = next(found, "")
    return f"is {said.format(wanted)}" if said else ""


def unknown(kind: str, name: str, known: Iterable[str], catalog: Catalog) -> str:
    """Says that there is nothing of a kind by a name, and what the name is instead, or may have been meant.

    Args:
        kind: What it is used for, as `but` of `other_kind`.
        name: The full name.
        known: What may have been meant.
        catalog: What the bundles offer.
    """
    other = other_kind(name, catalog, but=kind)
    return f"{name!r} {other}" if other else f"there is no {kind} {name!r}{nearest(name, known)}"
