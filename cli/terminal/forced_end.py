"""What became of a task that has ended with something left to undo, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...saga.record.task_state import TaskState
from ..arguments.shell_command import command_line


def ended_how(forced_end: str | None) -> str:
    """Says how the server has ended a task by force, to stand behind its state; empty where it has not."""
    return f", {forced_end.replace('_', ' ')}" if forced_end else ""


def recovery_line(
    recovery: Mapping[str, Any], id: str, not_undone: Sequence[str], server: Sequence[str]
) -> str:
    """Says what a recovery has done.

    Args:
        recovery: Its `workflow_id`, `state` and `undone`.
        id: The task that it undoes.
        not_undone: The steps that the task itself has left.
        server: The options with which other commands reach the task's server.
    """
    id_, state = recovery["workflow_id"], recovery["state"]
    what = ", ".join(not_undone) or "what it had done"
    if state == TaskState.COMPLETED:
        undone = recovery.get("undone") or ()
        number = f" {len(undone)} step{'' if len(undone) == 1 else 's'}:" if undone else ""
        return f"undone since, by {id_}:{number} {', '.join(undone) or what}"
    if state == TaskState.ROLLBACK_INCOMPLETE:
        again = command_line("recover", id, server=server)
        return f"NOT undone: {what}. {id_} has ended before it was; try again: {again}"
    look = command_line("status", id_, server=server)
    goes = "is stuck and waits for a person" if state == TaskState.NEEDS_ATTENTION else f"is {state}"
    return f"NOT undone yet: {what}. {id_} {goes}: {look}"


def left_lines(board: Mapping[str, Any], server: Sequence[str]) -> list[str]:
    """Says what a task has left behind and what became of that, as far as its board tells.

    Args:
        board: The board of the task.
        server: The options with which other commands reach the task's server.
    """
    if board["state"] != TaskState.ROLLBACK_INCOMPLETE:
        return []
    id, steps = board["task_id"], board.get("not_undone") or ()
    ended = board.get("forced_end")
    lines = [f"The task was ended by force: it has {_ENDED.get(ended, ended)}."] if ended else []
    if board.get("recovery"):
        return [*lines, recovery_line(board["recovery"], id, steps, server)]
    if ended:
        recover = command_line("recover", id, server=server)
        lines.append(f"NOT undone: {', '.join(steps) or 'whatever it has done'}. Undo it: {recover}")
    return lines


_ENDED = {"terminated": "been terminated", "timed_out": "timed out"}
