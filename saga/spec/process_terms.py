"""What a task knows of an agent that is a process; its command and its variables stay with the worker."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Divergence = Literal["keep", "undo", "fail"]
"""What follows when a process that was started again asks for something else than before: what it did and
has not asked for again stays until it has answered, and is undone then; it is undone at once; or the agent
fails."""


class ProcessTerms(BaseModel):
    """What a task knows of an agent that is a process.

    Attributes:
        on_divergence: See `Divergence`.
        loose: Whether requests are the same that differ in numbers, ids and paths only.
    """

    model_config = ConfigDict(frozen=True)

    on_divergence: Divergence = "keep"
    loose: bool = False
