"""Imports bundles that are named as ``module:attribute``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

from ..saga.errors import DefinitionError
from .bundle import Bundle


def load_bundle(reference: str) -> Bundle:
    """Imports one bundle.

    Args:
        reference: ``package.module:attribute``; the working directory is searched as well.

    Returns:
        The bundle.

    Raises:
        DefinitionError: The reference is malformed, cannot be imported, or is not a bundle.
    """
    module_name, _, attribute = reference.partition(":")
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
            f"bundle {reference!r}: {module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    try:
        bundle = getattr(module, attribute)
    except AttributeError:
        found = sorted(name for name, value in vars(module).items() if isinstance(value, Bundle))
        hint = f"; it has {', '.join(found)}" if found else ""
        raise DefinitionError(f"bundle {reference!r}: {module_name} has no {attribute!r}{hint}") from None
    if not isinstance(bundle, Bundle):
        raise DefinitionError(
            f"bundle {reference!r}: it is of type {type(bundle).__name__}, not a counterstep.Bundle"
        )
    return bundle


def load_bundles(references: Iterable[str]) -> list[Bundle]:
    """Imports several bundles, each only once; raises what `load_bundle` raises."""
    return [load_bundle(reference) for reference in dict.fromkeys(references)]
