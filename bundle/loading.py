"""Imports bundles that are named as ``module:attribute``, or by the name an installed package gives them."""

from __future__ import annotations

import importlib
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from ..saga.errors import DefinitionError
from ..saga.names import nearest
from .bundle import Bundle
from .shape_faults import declaration_faults

GROUP: Final = "counterstep.bundles"
"""The group of entry points; each names its bundle as ``module:attribute``."""

_OURS = {Path(__file__), Path(importlib.__file__)}


def load_bundle(reference: str) -> Bundle:
    """Imports one bundle.

    Args:
        reference: ``package.module:attribute``; the working directory is searched as well. Or the name of
            an entry point ``counterstep.bundles`` of an installed package.

    Returns:
        The bundle.

    Raises:
        DefinitionError: The reference is malformed or unknown, cannot be imported, or is not a bundle.
    """
    place = _find_installed(reference) if _is_installed_name(reference) else reference
    module_name, _, attribute = place.partition(":")
    if not attribute or not all(part.isidentifier() for part in module_name.split(".")):
        raise DefinitionError(f"bundle {reference!r}: write it as module:attribute, e.g. shop.bundle:shop")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except DefinitionError:
        raise
    except (Exception, SystemExit) as error:
        raise DefinitionError(
            f"bundle {reference!r}: {module_name} cannot be imported: {_what_happened(error)}{_where(error)}"
        ) from error
    try:
        bundle = attrgetter(attribute)(module)
    except AttributeError:
        found = sorted(name for name, value in vars(module).items() if isinstance(value, Bundle))
        hint = f"; it has {', '.join(found)}" if found else f"; it is {_shown(module.__file__ or 'no file')}"
        raise DefinitionError(f"bundle {reference!r}: {module_name} has no {attribute!r}{hint}") from None
    if not isinstance(bundle, Bundle):
        raise DefinitionError(
            f"bundle {reference!r}: it is of type {type(bundle).__name__}, not a counterstep.Bundle"
        )
    return bundle


def load_bundles(references: Iterable[str]) -> list[Bundle]:
    """Imports several bundles, each only once; raises what `load_bundle` raises."""
    return [load_bundle(reference) for reference in dict.fromkeys(references)]


def _what_happened(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    if isinstance(error, ValidationError):
        return declaration_faults(error)
    return f"{type(error).__name__}: {error}"


def _where(error: BaseException) -> str:
    """Names the innermost line of the user's code, or else of the code that it has called."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({_shown(error.filename)}, line {error.lineno})"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen ") and Path(frame.filename) not in _OURS
    ]
    installed = tuple(sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib"))
    users = [frame for frame in frames if not frame.filename.startswith(installed)]
    if not frames:
        return ""
    frame = (users or frames)[-1]
    return f" ({_shown(frame.filename)}, line {frame.lineno})"


def _shown(filename: str) -> str:
    path, here = Path(filename), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else filename


def _is_installed_name(reference: str) -> bool:
    """Says whether a reference can only be the name of an installed bundle."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", reference) is not None


def _find_installed(name: str) -> str:
    """Returns where an installed package has the bundle that it offers by a name, as ``module:attribute``.

    Raises:
        DefinitionError: No installed package offers one of this name, or several do.
    """
    known = entry_points(group=GROUP)
    found = {point.value.replace(" ", ""): point for point in known if point.name == name}
    if len(found) > 1:
        packages = " and ".join(sorted(_package(point) for point in found.values()))
        raise DefinitionError(f"bundle {name!r}: {packages} both offer it; name it as module:attribute")
    for value, point in found.items():
        place = EntryPoint.pattern.match(value)
        if place is None or not place["attr"]:
            told = f"its package {_package(point)} offers it as {point.value!r}, and not as module:attribute"
            raise DefinitionError(f"bundle {name!r}: {told}")
        return f"{place['module']}:{place['attr']}"
    hint = nearest(name, (point.name for point in known))
    raise DefinitionError(
        f"bundle {name!r}: write it as module:attribute, e.g. shop.bundle:shop; "
        f"no installed package offers a bundle of this name{hint}"
    )


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
