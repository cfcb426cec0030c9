"""What a model is told about the tools that it has called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..spec.catalog import ToolEntry
from ..verdict import Evidence


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a model is told about one of its tool calls.

    Attributes:
        text: The result as JSON, or an object with the key ``error``.
        fault: Why there is no result; None where there is one.
        executed: What was executed; None where nothing was.
        changed: Whether a call with effects has succeeded.
        entries: The ledger entries of what it has done that stand.
    """

    text: str
    fault: str | None = None
    executed: ExecutedCall | None = None
    changed: bool = False
    entries: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ExecutedCall:
    """One executed call.

    Attributes:
        evidence: What validators and judges see of it.
        entry: The id of its ledger entry, which has its arguments and its result; None where it has none,
            or has failed.
    """

    evidence: Evidence
    entry: str | None = None


def refusal(reason: str, executed: ExecutedCall | None = None) -> ToolAnswer:
    """Returns what a model is told about a call that gave no result."""
    return ToolAnswer(json.dumps({"error": reason}, ensure_ascii=False), reason, executed)


def repeated(tool: ToolEntry, told: str) -> ToolAnswer:
    """Returns what a model is told that asks for what it has done already.

    Args:
        tool: What it asks for.
        told: What it was told then, as JSON.
    """
    if tool.repeats == "refuse":
        return refusal(f"{tool.name} has succeeded with these arguments already; it was not called again")
    note = "this call has succeeded already; it was not made again, and this is what it gave then"
    return ToolAnswer(json.dumps({"repeated": note, "result": json.loads(told)}, ensure_ascii=False))


def edited(result: Any, arguments: Any) -> str:
    """Returns what a model is told where a person has let a call be made with other arguments."""
    note = "a person has allowed the call with other arguments, and it was made with those"
    return json.dumps({"edited": note, "arguments": arguments, "result": result}, ensure_ascii=False)


def asked_back(name: str, *, is_way_out: bool) -> ToolAnswer:
    """Returns what a model is told that gives up after calls with effects have succeeded.

    Args:
        name: How it gives up.
        is_way_out: Whether this is the answer to that call, and not to one beside it.
    """
    if not is_way_out:
        return ToolAnswer(json.dumps({"not_done": f"it was not called, because {name} was called beside it"}))
    text = (
        "Nothing is undone yet, and what has succeeded stands. "
        "If the job is done, give the final answer now. "
        f"If it cannot be done, call {name} again: then all of it is undone."
    )
    return ToolAnswer(json.dumps({"question": text}))
