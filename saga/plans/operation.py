"""One operation of a plan, as an agent writes it down."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Operation(BaseModel):
    """One operation of a plan, as the agent that plans writes it down.

    Attributes:
        id: Its name, in this plan and in the next.
        tool: What it calls: a tool, or an agent in Python, by its full name.
        input: The arguments by name.
        after: The ids of the operations that it comes after.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    tool: str
    input: dict[str, Any] = Field(default_factory=dict)
    after: tuple[str, ...] = ()
