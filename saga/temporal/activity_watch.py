"""Lets a saga see the activities that others start in its workflow, as a framework's model calls are."""

from __future__ import annotations

from asyncio import Task
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from temporalio import workflow


class ActivityInput(Protocol):
    """What is known of an activity before it starts; what interceptors are given has it.

    Attributes:
        activity: The activity type.
        args: Its arguments.
        summary: What the Web UI shows beside the activity type.
    """

    activity: str
    args: Sequence[Any]
    summary: str | None


InputT = TypeVar("InputT", bound=ActivityInput)
HandleT = TypeVar("HandleT", bound=Task[Any])

_WATCH = "__counterstep_activity_watch__"


class ActivityWatch(Protocol):
    """Is shown each activity before it starts."""

    def start(self, input: InputT, start: Callable[[InputT], HandleT]) -> HandleT:
        """Starts the activity, or refuses to.

        Args:
            input: What is to be started.
            start: Starts it.

        Returns:
            What `start` has returned.
        """
        ...


def watch_activities(watch: ActivityWatch) -> None:
    """Shows the activities that the running workflow starts from now on to `watch`, and to nobody else.

    It is kept by the workflow itself, and not by a context: what runs in the handler of an update counts too.
    """
    setattr(workflow.instance(), _WATCH, watch)


def start_watched(input: InputT, start: Callable[[InputT], HandleT]) -> HandleT:
    """Starts an activity of the running workflow, under the eyes of its watch if it has one."""
    watch: ActivityWatch | None = getattr(workflow.instance(), _WATCH, None)
    return start(input) if watch is None else watch.start(input, start)
