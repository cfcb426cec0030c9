"""Imports the functions of the user's that the fault explorer is given by name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...saga.errors import DefinitionError


def load_hook(reference: str) -> Callable[[str], Any]:
    """Imports a function.

    Args:
        reference: ``module:function``; modules of the working directory are found too.

    Returns:
        The function; it is called with the id of a task.

    Raises:
        DefinitionError: There is no such function.
    """
    module_name, colon, name = reference.partition(":")
    if not colon or not module_name or not name:
        raise DefinitionError(f"{reference!r}: write it as module:function, e.g. shop.world:standing")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        function: object = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise DefinitionError(f"{reference!r} cannot be imported: {error}") from None
    if not callable(function):
        raise DefinitionError(f"{reference!r} is not a function")
    return function
