"""Bundles that installed packages offer by name, as entry points; a worker has only those that it names."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from ..saga.errors import DefinitionError
from ..saga.names import nearest

GROUP: Final = "counterstep.bundles"
"""The group of entry points; each names its bundle as ``module:attribute``."""


def is_installed_name(reference: str) -> bool:
    """Says whether a reference can only be the name of an installed bundle."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", reference) is not None


def find_installed(name: str) -> str:
    """Returns where an installed package has the bundle that it offers by a name, as ``module:attribute``.

    Raises:
        DefinitionError: No installed package offers one of this name, or several do.
    """
    known = entry_points(group=GROUP)
    found = {point.value.replace(" ", ""): point for point in known if point.name == name}
    if len(found) > 1:
        packages = " and ".join(sorted(_package(point) for point in found.values()))
        raise DefinitionError(f"bundle {name!r}: {packages} both offer it; name it as module:attribute")
    if found:
        return next(iter(found))
    hint = nearest(name, (point.name for point in known))
    raise DefinitionError(
        f"bundle {name!r}: write it as module:attribute, e.g. shop.bundle:shop; "
        f"no installed package offers a bundle of this name{hint}"
    )


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
