"""The search attributes by which tasks are found; all other code takes their names from here."""

from __future__ import annotations

from typing import Final

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from .task_state import TaskState

SAGA_TASK: Final = SearchAttributeKey.for_keyword("SagaTask")
"""The task's name."""

SAGA_STATE: Final = SearchAttributeKey.for_keyword("SagaState")
"""Where the task is: a `TaskState`."""

SAGA_STEP: Final = SearchAttributeKey.for_keyword("SagaStep")
"""The step for which the task is undone, or that waits for a person; empty once the task has ended."""

SAGA_COST: Final = SearchAttributeKey.for_float("SagaCostUsd")
"""What the task has spent on models, in US dollars."""

SEARCH_ATTRIBUTES: Final = {
    SAGA_TASK.name: "Keyword",
    SAGA_STATE.name: "Keyword",
    SAGA_STEP.name: "Keyword",
    SAGA_COST.name: "Double",
}
"""The name of each, and the type under which Temporal's operator API and command line create it."""


def at_start(task: str) -> TypedSearchAttributes:
    """Returns what the start of a task says: so it is found before a worker has taken it."""
    return TypedSearchAttributes(
        [SearchAttributePair(SAGA_TASK, task), SearchAttributePair(SAGA_STATE, TaskState.RUNNING.value)]
    )
