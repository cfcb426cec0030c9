"""Stopping a part of a task: what may be interrupted is, the rest runs out, nothing new starts."""

from __future__ import annotations

from asyncio import CancelledError, Future, current_task
from typing import Any

from ..failure import Stopped


class StopScope:
    """A part of a task that can be stopped as one; parts nest.

    A stop does not cancel any coroutine. It cancels the calls that may be interrupted, lets the others
    finish, and refuses new ones, so that every coroutine of the part comes to its end by itself and every
    outcome is known when the undos begin.

    Attributes:
        reason: Why it was stopped, or None while it runs.
    """

    def __init__(self, parent: StopScope | None = None) -> None:
        """Opens a scope; one inside a stopped `parent` is stopped from the start."""
        self.reason: str | None = parent.reason if parent else None
        self._parent = parent
        self._sealed = False
        self._children: list[StopScope] = []
        self._interruptible: dict[Future[Any], None] = {}
        if parent is not None:
            parent._children.append(self)

    @property
    def stopped(self) -> bool:
        """True once it, or a scope around it, was stopped."""
        return self.reason is not None

    def stop(self, reason: str) -> None:
        """Stops this scope and those inside it; the first reason stays."""
        if self._sealed or self.reason is not None:
            return
        self.reason = reason
        for future in list(self._interruptible):
            future.cancel()
        for child in self._children:
            child.stop(reason)

    @property
    def root(self) -> StopScope:
        """The scope of the whole task."""
        scope = self
        while scope._parent is not None:
            scope = scope._parent
        return scope

    def seal(self) -> None:
        """Lets nothing stop the whole task any more, and takes back what has stopped it."""
        self.root._seal()

    def _seal(self) -> None:
        self._sealed = True
        self._reopen()

    def _reopen(self) -> None:
        self.reason = None
        for child in self._children:
            child._reopen()

    def check(self, step: str) -> None:
        """Raises `Stopped` in a stopped scope."""
        if self.reason is not None:
            raise Stopped(step, self.reason)

    async def interruptible(self, step: str, future: Future[Any]) -> Any:
        """Awaits a future that a stop cancels.

        Args:
            step: The id of the step that waits.
            future: Its own error, e.g. that its activity was cancelled, is passed on.

        Raises:
            Stopped: The stop met the result in one workflow task, and Temporal has
                dropped the result: what the call did is unknown.
        """
        self._interruptible[future] = None
        try:
            return await future
        except CancelledError:
            if self.reason is None or _is_cancelled_itself():
                raise
            raise Stopped(step, self.reason) from None
        finally:
            del self._interruptible[future]


def _is_cancelled_itself() -> bool:
    """True where the running task is cancelled, as in an eviction, and not only what it waits for."""
    task = current_task()
    return task is not None and task.cancelling() > 0
