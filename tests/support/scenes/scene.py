"""A scene: one way in which a workflow can end, and how it is brought to that end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.client import WorkflowHandle

from counterstep.tests.support.scenes.stage import Stage

Handle = WorkflowHandle[Any, Any]
Play = Callable[[Stage], Awaitable[Handle | Sequence[Handle]]]
"""Plays a scene; returns its workflow, and after it others that belong to it and are not its children."""

OPEN = "open"


@dataclass(frozen=True)
class Scene:
    """One scene.

    Attributes:
        name: Also the id of its workflow.
        ends: How its workflow ends, see `End.type`; `OPEN` where it waits for somebody who never comes.
        play: Plays it, to its end or to where the end comes by itself.
        short_histories: Whether the server is to suggest early on to continue as new.
    """

    name: str
    ends: str
    play: Play
    short_histories: bool = False


SCENES: dict[str, Scene] = {}
"""All scenes whose modules are loaded."""


def scene(ends: str, name: str = "", *, short_histories: bool = False) -> Callable[[Play], Play]:
    """Registers a function as a scene; its name is the function's where none is given."""

    def register(play: Play) -> Play:
        called = name or getattr(play, "__name__", "")
        assert called and called not in SCENES, f"there is a scene {called!r} already, or it has no name"
        SCENES[called] = Scene(called, ends, play, short_histories)
        return play

    return register
