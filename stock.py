"""Tools that need no code: files, rows of a database and HTTP requests, each with its undo, and events.

A worker that names the bundle (``--bundle counterstep.stock:stock``) offers the tools for files and rows.
What they may do is in its settings, the variables ``COUNTERSTEP_STOCK_*``: without those nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from keyword import iskeyword
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_jsonable_python

from .activities.tools import files, http, publish, rows
from .bundle.bundle import Bundle
from .bundle.declaration import BundlePart
from .compensations.stock.files import restore_files
from .compensations.stock.http import undo_over_http
from .compensations.stock.rows import remove_inserted_row, restore_deleted_rows, restore_updated_rows
from .resources.http_request import HttpRequest
from .resources.roots import find_spot, path_fault
from .resources.stock_settings import StockSettings, Verb, read_stock_settings, table_fault
from .saga.effect import Effect
from .saga.errors import DefinitionError, NotApplied
from .saga.undo import Undo

__all__ = ["HttpRequest", "HttpTool", "stock"]

stock = Bundle("stock")
"""The bundle."""

for _undo in (restore_files, remove_inserted_row, restore_updated_rows, restore_deleted_rows):
    stock.compensation(_undo)
for _reads in (files.read_file, files.list_folder, rows.select_rows):
    stock.tool(effect=Effect.READ_ONLY)(_reads)
for _changes, _taken_back in (
    (files.write_file, restore_files),
    (files.append_file, restore_files),
    (files.delete_file, restore_files),
    (files.move_file, restore_files),
    (files.make_folder, restore_files),
    (files.delete_folder, restore_files),
    (rows.insert_row, remove_inserted_row),
    (rows.update_rows, restore_updated_rows),
    (rows.delete_rows, restore_deleted_rows),
):
    stock.tool(compensate=_taken_back)(_changes)
stock.tool(effect=Effect.RETRIABLE, idempotent=True)(publish.publish)


_VERBS: dict[str, Verb] = {
    "stock.select_rows": "select",
    "stock.insert_row": "insert",
    "stock.update_rows": "update",
    "stock.delete_rows": "delete",
}


def _refused(tool: str, argument: str, value: str) -> str:
    """Says what a call would say of a path or a table; where nothing is set, a worker may still allow it."""
    settings = read_stock_settings()
    if argument == "table":
        return table_fault(value, _VERBS[tool]) if settings.tables else ""
    if argument not in ("path", "to"):
        return ""
    if not settings.roots:
        return path_fault(value)
    try:
        find_spot(value, root_itself=True)
    except NotApplied as error:
        return str(error)
    return ""


for _tool in stock.tools:
    stock.functions[_tool].refuses = partial(_refused, _tool)


class HttpTool(BaseModel, BundlePart):
    """A tool that is a request, and its undo another one, ``undo_NAME``; `Bundle.add` takes it.

    Attributes:
        name: The name of the tool.
        description: What it does, for the models that choose it.
        arguments: The types of its arguments by name.
        request: What is sent. A GET only reads.
        undo: What undoes it; it may also read ``output`` (``status`` and ``body``).
        find: A GET that looks the effect up by ``key``, where the undo reads ``output``: a crash leaves none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    description: str
    arguments: dict[str, Any] = {}
    request: HttpRequest
    undo: HttpRequest | None = None
    find: HttpRequest | None = None

    def _register(self, bundle: Bundle) -> None:
        if faults := list(self._faults(f"tool {bundle.name}.{self.name}")):
            raise DefinitionError("\n".join(faults))
        request, undoing, find = self.request, self.undo, self.find
        if undoing is None:
            bundle.tool(effect=Effect.READ_ONLY)(self._function(partial(http.read_over_http, request)))
            return

        def undo(undo: Undo[dict[str, Any]]) -> None:
            undo_over_http(undoing, find, undo)

        undo.__name__ = f"undo_{self.name}"
        undo.__doc__ = f"Undoes {self.name}."
        bundle.compensation(undo)
        bundle.tool(compensate=undo)(self._function(partial(http.change_over_http, request)))

    def _function(self, send: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
        def call(**arguments: Any) -> dict[str, Any]:
            return send(to_jsonable_python(arguments))

        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter(name, keyword, annotation=a) for name, a in self.arguments.items()]
        vars(call)["__signature__"] = inspect.Signature(parameters)
        call.__annotations__ = {**self.arguments, "return": dict[str, Any]}
        call.__name__, call.__doc__ = self.name, self.description
        return call

    def _faults(self, what: str) -> Iterator[str]:
        for name in self.arguments:
            if not name.isidentifier() or iskeyword(name):
                yield f"{what}: {name!r} is not the name of an argument; a body may name it otherwise"
        known: dict[str, Any] = {"arguments": tuple(self.arguments), "key": None}
        yield from self.request.faults(f"{what}: request", known)
        if self.request.method == "GET":
            if self.undo is not None or self.find is not None:
                yield f"{what}: a GET only reads, so it has neither undo nor find"
            return
        if self.undo is None:
            yield f"{what}: a {self.request.method} changes something; give undo=, which takes it back"
            return
        yield from self.undo.faults(f"{what}: undo", {**known, "output": ("status", "body")})
        if self.find is not None:
            yield from self.find.faults(f"{what}: find", known)
            if self.find.method != "GET":
                yield f"{what}: find must be a GET"
        elif self.undo.reads("output"):
            yield f"{what}: its undo reads output, which is unknown after a crash; give find=, or read key"


def _expect_usable(settings: StockSettings) -> None:
    """Says what is wrong in the settings when a worker starts, and loads what the first call needs."""
    if settings.database is None:
        return
    try:
        from .resources import database, row_change  # noqa: F401 (the calls import it as well)

        database.database()
    except ImportError:
        message = "COUNTERSTEP_STOCK_DATABASE needs a package: pip install 'counterstep[sql]'"
        raise DefinitionError(message) from None
    except NotApplied as error:
        raise DefinitionError(str(error)) from None


_expect_usable(read_stock_settings(at_start=True))
