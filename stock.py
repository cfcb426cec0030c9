"""Tools with undo that need no code: files, rows of a database, and HTTP requests.

A worker that names the bundle (``--bundle counterstep.stock:stock``) offers the tools for files and rows.
What they may do is in its settings, the variables ``COUNTERSTEP_STOCK_*``: without those nothing.
"""

from __future__ import annotations

from .activities.tools import files, rows
from .bundle.bundle import Bundle
from .compensations.stock.files import restore_files
from .compensations.stock.rows import remove_inserted_row, restore_deleted_rows, restore_updated_rows
from .resources.stock_settings import StockSettings, read_stock_settings
from .saga.effect import Effect
from .saga.errors import DefinitionError, NotApplied

__all__ = ["stock"]

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


def _expect_usable(settings: StockSettings) -> None:
    """Says what is wrong in the settings when a worker starts, and loads what the first call needs."""
    if settings.database is None:
        return
    try:
        from .resources import database, row_change  # noqa: F401 (the calls import it as well)

        database.database()
    except ImportError:
        message = "COUNTERSTEP_STOCK_DATABASE is set: pip install 'counterstep[sql]'"
        raise DefinitionError(message) from None
    except NotApplied as error:
        raise DefinitionError(str(error)) from None


_expect_usable(read_stock_settings())
