"""The files of a page, in an empty folder from which modules can be imported, and forgotten afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from .pages import blocks

ADDRESS = "localhost:7233"
"""Where a page has its server."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads a page as its reader does.

    Attributes:
        folder: An empty folder.
        monkeypatch: Goes there, and back.
        address: The server that stands in for the page's.
    """

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    address: str = ADDRESS

    @contextmanager
    def files(self, page: Path) -> Iterator[None]:
        """Writes the files of a page and offers them as modules for a while."""
        self.monkeypatch.chdir(self.folder)
        self.monkeypatch.syspath_prepend(str(self.folder))
        for name in ("COUNTERSTEP_BUNDLES", "COUNTERSTEP_MODEL"):
            self.monkeypatch.delenv(name, raising=False)
        for block in blocks(page):
            if block.file is not None:
                file = self.folder / block.file
                file.parent.mkdir(parents=True, exist_ok=True)
                before = file.read_text() if block.title.startswith("add to") else ""
                file.write_text(before + block.text.replace(ADDRESS, self.address))
        known = set(sys.modules)
        try:
            yield
        finally:
            for name in set(sys.modules) - known:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(self.folder)):
                    del sys.modules[name]

    def module(self, name: str) -> ModuleType:
        """A module for what is not a file; functions in it find their types by its name."""
        module = sys.modules[name] = ModuleType(name)
        module.__file__ = str(self.folder / f"{name}.py")
        return module
