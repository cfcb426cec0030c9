"""Marks the workflows that are tasks of ours, so that strangers' workflows are left alone."""

from __future__ import annotations

from temporalio import workflow

TASK_MARK = "__counterstep_task__"
"""Our own workflow class has it from the start: with wrong arguments it never gets as far as a mark."""


def mark_as_task() -> None:
    """Says that the running workflow is a task."""
    setattr(workflow.instance(), TASK_MARK, True)


def free_name(name: str) -> str:
    """Returns `name`, or with a number behind it where this workflow has used it: paths must be unique."""
    used: dict[str, int] = vars(workflow.instance()).setdefault("__counterstep_names__", {})
    used[name] = used.get(name, 0) + 1
    return name if used[name] == 1 else f"{name}_{used[name]}"


def is_task() -> bool:
    """Says whether the running workflow is a task."""
    return getattr(workflow.instance(), TASK_MARK, False)
