"""The same saga as a Counterstep task."""

from __future__ import annotations

from typing import Any

from benchmarks.by_hand import NAMES
from counterstep import Bundle, NotApplied, Undo

bench = Bundle("bench")


@bench.tool(compensate="take_back")
async def put(what: str, fails: bool = False) -> dict[str, str]:
    """Does one step."""
    if fails:
        raise NotApplied("no room")
    return {"what": what}


@bench.compensation
async def take_back(undo: Undo[dict[str, str]]) -> None:
    """Undoes one step."""
    assert undo.output is not None and undo.output["what"]


def _step(index: int) -> dict[str, Any]:
    fails: Any = "${{ task.fails }}" if index == len(NAMES) - 1 else False
    return {
        "id": NAMES[index],
        "needs": list(NAMES[max(0, index - 1) : index]),
        "tool": "bench.put",
        "input": {"what": NAMES[index], "fails": fails},
    }


bench.add_task(
    {
        "name": "saga",
        "input": {"type": "object", "required": ["fails"], "properties": {"fails": {"type": "boolean"}}},
        "steps": [_step(index) for index in range(len(NAMES))],
    }
)
