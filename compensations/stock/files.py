"""Puts files and folders back."""

from __future__ import annotations

from typing import Any

from ...resources.changed_since import not_kept
from ...resources.file_change import is_known, undo_files
from ...resources.roots import all_roots, find_spot, path_fault
from ...saga.undo import Undo


def restore_files(undo: Undo[Any]) -> None:
    """Puts back what was there before; where others have changed it since, a person is asked instead."""
    path = undo.input["path"]
    if path_fault(path):
        return  # no worker has ever taken it
    # With other settings since, the path leads below another root, where the call is barred as well.
    named = [path, undo.output["path"]] if undo.output else [path]
    here = {find_spot(place, root_itself=True).root for place in named}
    known = {root for root in all_roots() if is_known(root, undo.idempotency_key)}
    if undo.output and not known:
        raise not_kept(f"below {find_spot(undo.output['path'], root_itself=True).root}")
    for root in sorted(here | known):
        undo_files(root, undo.idempotency_key, undo.task_id)
