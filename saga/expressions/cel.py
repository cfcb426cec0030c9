"""CEL itself: the compiled module of the package `cel`, without the command line that the package imports.

That command line brings `prompt_toolkit`, `pygments` and `rich` into every process, for a tenth of a second.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import cel
else:

    def _load() -> ModuleType:
        name = "cel.cel"
        if name in sys.modules:
            return sys.modules[name]
        package = find_spec("cel")
        spec = PathFinder.find_spec(name, package.submodule_search_locations) if package else None
        if spec is None:
            raise ModuleNotFoundError("common-expression-language is not installed", name=name)
        # Under its own name, so that whoever imports the package later gets the same module.
        sys.modules[name] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    cel = _load()

__all__ = ["cel"]
