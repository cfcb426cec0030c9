"""Calls stock tools and their undos as a worker does, with keys of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterstep import Undo
from counterstep.bundle.bundle import Bundle
from counterstep.bundle.current_step import CURRENT_STEP, CurrentStep


def forward(bundle: Bundle, tool: str, key: str, **arguments: Any) -> Any:
    """Calls a tool under a key; returns its result as JSON."""
    function = bundle.functions[f"{bundle.name}.{tool}"]
    token = CURRENT_STEP.set(CurrentStep(key, f"task of {key}", tool, 1))
    try:
        return function.dump(function.call(**function.bind(arguments)))
    finally:
        CURRENT_STEP.reset(token)


def back(bundle: Bundle, tool: str, key: str, arguments: Mapping[str, Any], output: Any = None) -> None:
    """Calls the undo of a tool."""
    name = bundle.tools[f"{bundle.name}.{tool}"].compensate
    assert name is not None
    undo: Undo[Any] = Undo(
        input=dict(arguments),
        output=output,
        idempotency_key=key,
        reason="a test",
        step=tool,
        task_id=f"task of {key}",
    )
    bundle.functions[name].call(undo)
