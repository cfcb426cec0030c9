"""What a test writes down as the work of a task, or of a saga."""

from __future__ import annotations

from typing import Any

ONCE = {"attempts": 1}


def step(id_: str, tool: str, *needs: str, **arguments: Any) -> dict[str, Any]:
    """A step that calls a tool once; the thing is named as the step is."""
    return {"id": id_, "needs": list(needs), "tool": tool, "input": {"what": id_, **arguments}, "retry": ONCE}


def put(id_: str, *needs: str, **arguments: Any) -> dict[str, Any]:
    """A step that puts a thing on the desk."""
    return step(id_, "desk.put", *needs, **arguments)


def child(id_: str, workflow: str, *needs: str, input: Any = None, **keys: Any) -> dict[str, Any]:
    """A step that starts a child workflow."""
    return {"id": id_, "needs": list(needs), "workflow": workflow, "input": input or {}, **keys}


def act(tool: str, what: str, **arguments: Any) -> dict[str, Any]:
    """A call in a saga."""
    return {"call": tool, "what": what, **arguments}


def labelled(value: Any, label: str) -> Any:
    """Puts a label before the name of each thing, so that many tasks may share one desk."""
    if isinstance(value, list):
        return [labelled(item, label) for item in value]
    if isinstance(value, dict):
        return {k: f"{label}: {v}" if k == "what" else labelled(v, label) for k, v in value.items()}
    return value
