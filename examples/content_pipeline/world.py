"""What the fault explorer asks about the content store: see ``make explore``."""

from __future__ import annotations

from .store import store


def standing(task_id: str) -> list[str]:
    """Returns the keys of what a task has made and what stands, and all files.

    It wants a store for each task (``{task}`` in ``CONTENT_FOLDER``): files of others would show as well.
    """
    workplace = store(task_id).workplace
    return [item.key for item in workplace.items(task_id)] + workplace.files()
