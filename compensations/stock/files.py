"""Puts files and folders back."""

from __future__ import annotations

from typing import Any

from ...resources.file_change import undo_files
from ...resources.roots import find_spot, path_fault
from ...saga.undo import Undo


def restore_files(undo: Undo[Any]) -> None:
    """Puts back what was there before; where others have changed it since, a person is asked instead."""
    path = undo.input["path"]
    if path_fault(path):
        return  # no worker has ever taken it
    undo_files(find_spot(path, root_itself=True).root, undo.idempotency_key, undo.task_id)
