"""The tools that an MCP client is offered, and their arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp_types import Tool, ToolAnnotations

from ..saga.spec.task_spec import TaskSpec
from .task_answer import TaskAnswer

MOST_SECONDS: Final = 50.0
"""How long one call may wait: clients give up after a minute."""

_SECONDS: Final = {
    "type": "number",
    "minimum": 0,
    "maximum": MOST_SECONDS,
    "description": "How long to wait for the end, or for a question; 20 if it is not given.",
}
_AN_ID: Final = {"type": "string", "minLength": 1, "maxLength": 1000}
_ID: Final = {**_AN_ID, "description": "The task_id that start_… has returned."}
_LONGEST_NAME: Final = 64
_ANSWER: Final = TaskAnswer.model_json_schema(mode="serialization")
_READS: Final = ToolAnnotations(read_only_hint=True)
_UNDOES: Final = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)


def start_tools(tasks: Mapping[str, TaskSpec]) -> dict[str, str]:
    """Returns the names of the tools that start tasks, each with the task that it starts."""
    names: dict[str, str] = {}
    for task in tasks:
        name = f"start_{task.replace('.', '_')}"[:_LONGEST_NAME]
        while name in names:
            name = f"{name[: _LONGEST_NAME - 1]}_"
        names[name] = task
    return names


def tools_of(tasks: Mapping[str, TaskSpec]) -> list[Tool]:
    """Returns all tools.

    Args:
        tasks: The registered tasks, by name.
    """
    return [
        *(_start(name, tasks[task]) for name, task in start_tools(tasks).items()),
        _tool(
            "watch_task",
            "Waits until a task has ended, or asks a person something, and says where it is. A task goes on "
            "by itself, also when nobody watches it.",
            {"task_id": _ID, "seconds": _SECONDS},
            ["task_id"],
            _READS,
        ),
        _tool(
            "decide",
            "Answers a question of a task, for the person who uses this client. Ask that person first.",
            {
                "task_id": _ID,
                "step": {"type": "string", "description": "Of the question."},
                "action": {"type": "string", "description": "One of the question's actions."},
                "hash": {"type": "string", "description": "Of the question, if it has one."},
                "value": {"description": "What the action needs beside its name, e.g. an output."},
                "note": {"type": "string", "description": "Why."},
            },
            ["task_id", "step", "action"],
            _UNDOES,
        ),
        _tool(
            "cancel_task",
            "Cancels a task; everything that it did is undone, which this waits for.",
            {"task_id": _ID, "seconds": _SECONDS},
            ["task_id"],
            _UNDOES,
        ),
        Tool(
            name="list_tasks",
            description="Lists the newest tasks.",
            input_schema={"type": "object", "properties": {}, "additionalProperties": False},
            annotations=_READS,
        ),
    ]


def _start(name: str, spec: TaskSpec) -> Tool:
    properties = {
        "input": spec.input or {"type": "object"},
        "task_id": {
            **_AN_ID,
            "description": "Starts it once under this id; used again with the same input, it finds the task.",
        },
        "seconds": _SECONDS,
    }
    said = spec.goal or f"Runs the task {spec.name}."
    about = "It either finishes, or everything that it did is undone."
    needs = ["input"] if (spec.input or {}).get("required") else []
    return _tool(name, f"{said} {about}", properties, needs, ToolAnnotations(read_only_hint=False))


def _tool(
    name: str, description: str, properties: dict[str, Any], required: list[str], hints: ToolAnnotations
) -> Tool:
    schema = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return Tool(
        name=name, description=description, input_schema=schema, output_schema=_ANSWER, annotations=hints
    )
