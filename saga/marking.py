"""Marks the workflows that are tasks of ours, so that strangers' workflows are left alone."""

from __future__ import annotations

from temporalio import workflow

_MARK = "__counterstep_task__"


def mark_as_task() -> None:
    """Says that the running workflow is a task."""
    setattr(workflow.instance(), _MARK, True)


def is_task() -> bool:
    """Says whether the running workflow is a task."""
    return getattr(workflow.instance(), _MARK, False)
