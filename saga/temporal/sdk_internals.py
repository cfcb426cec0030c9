"""The only place that reads what Temporal's SDK keeps private; `tests/unit/temporal` fails when it changes.

Nothing here imports the SDK: what checks a spec reads declarations, and loads no Temporal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

_WORKFLOW = "__temporal_workflow_definition"
_ACTIVITY = "__temporal_activity_definition"


def is_workflow(thing: Any) -> TypeGuard[type]:
    """Says whether a class has ``@workflow.defn``; what it inherits does not count."""
    return isinstance(thing, type) and _WORKFLOW in vars(thing)


def is_activity(thing: Any) -> TypeGuard[Callable[..., Any]]:
    """Says whether a function has ``@activity.defn``."""
    return callable(thing) and hasattr(thing, _ACTIVITY)


def workflow_type(cls: type) -> str | None:
    """Returns the type of a workflow class; None for a dynamic one, and for a class that is not one."""
    name: str | None = getattr(vars(cls).get(_WORKFLOW), "name", None)
    return name


def activity_type(function: Callable[..., Any]) -> str | None:
    """Returns the type of an activity; None for a dynamic one, and for a function that is not an activity."""
    name: str | None = getattr(getattr(function, _ACTIVITY, None), "name", None)
    return name


def is_dynamic_workflow(cls: type) -> bool:
    """Says whether a workflow class serves all types that have no class of their own."""
    return is_workflow(cls) and workflow_type(cls) is None


def is_dynamic_activity(function: Callable[..., Any]) -> bool:
    """Says whether an activity serves all types that have no function of their own."""
    return is_activity(function) and activity_type(function) is None


def with_argument_types(cls: type, types: Sequence[type]) -> type:
    """Says how the arguments of a workflow are decoded where there are as many of them as types.

    The SDK derives this from the signature, and gives up where the signature has ``*args``.

    Returns:
        The same class.
    """
    setattr(cls, _WORKFLOW, dataclasses.replace(getattr(cls, _WORKFLOW), arg_types=list(types)))
    return cls


def activated_workflow(function: Callable[..., Any]) -> Any:
    """Returns the workflow that a worker activates by calling a function; None for any other function."""
    return getattr(getattr(function, "__self__", None), "instance", None)


def decide_patch(patch_id: str) -> None:
    """Lets ``workflow.patched(patch_id)`` answer yes in the running workflow without a marker in its history.

    Where it was asked before, its answer stays. It is for code that has done this from its first version on.

    Args:
        patch_id: Its id.
    """
    from temporalio import workflow

    decided: dict[str, bool] = vars(workflow._Runtime.current())["_patches_memoized"]
    decided.setdefault(patch_id, True)
