"""The event loops on which the coroutines of users run, apart from the worker's own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final

BLOCKED_SECONDS: Final = 0.5
"""A loop that has not begun a call after this time is blocked, and the call is given to another one."""

logger = logging.getLogger("counterstep")


class UserLoop:
    """One event loop in a thread of its own.

    Coroutines share the first loop, because clients and locks belong to a loop. While a coroutine blocks it
    with ``time.sleep`` or a long computation, further calls run on another one.

    Attributes:
        is_blocked: Whether it did not begin a call in time, and has not begun it since.
    """

    _all: Final[list[UserLoop]] = []
    _lock: Final = threading.Lock()

    def __init__(self) -> None:
        """Starts the thread."""
        self.is_blocked = False
        self._names: list[str] = []
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="counterstep-user-loop", daemon=True).start()

    @classmethod
    def free(cls) -> UserLoop:
        """Returns the first loop that is not blocked."""
        with cls._lock:
            found = next((loop for loop in cls._all if not loop.is_blocked), None)
            if found is None:
                found = cls()
                cls._all.append(found)
            return found

    def offer(self, call: UserCall) -> None:
        """Begins a call as soon as the loop comes to it, unless another loop has begun it by then."""
        self._loop.call_soon_threadsafe(self._begin, call)

    def tell_blocked(self) -> None:
        """Takes no more calls until the loop answers again, and says so once."""
        if not self.is_blocked:
            self.is_blocked = True
            logger.warning(
                "an async function blocks the event loop of all users' code, so that others run on another "
                "one; those that have begun on it: %s. Make it a plain function, which runs in a thread.",
                ", ".join(self._names) or "unknown",
            )

    def cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancels a task of this loop, from another thread."""
        self._loop.call_soon_threadsafe(task.cancel)

    def _begin(self, call: UserCall) -> None:
        self.is_blocked = False
        if not call.take(self):
            return
        self._names.append(call.name)
        task = self._loop.create_task(call.work())
        task.add_done_callback(lambda _: self._names.remove(call.name))
        call.begun(task)


class UserCall:
    """One call of a coroutine function, on whichever loop comes to it first.

    Attributes:
        name: What is called.
        outcome: What ``work`` returns. It is done only when the coroutine has ended, because nothing that it
            still does may land after its undo.
    """

    def __init__(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        """Prepares a call; `work` raises nothing but ``asyncio.CancelledError``."""
        self.name = name
        self.outcome: Future[Any] = Future()
        self.taken: Future[None] = Future()
        self._work = work
        self._lock = threading.Lock()
        self._loop: UserLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False

    async def start(self) -> None:
        """Begins the call; where a loop is blocked, on another one."""
        while not self.taken.done():
            loop = UserLoop.free()
            loop.offer(self)
            await asyncio.wait([asyncio.wrap_future(self.taken)], timeout=BLOCKED_SECONDS)
            if not self.taken.done():
                loop.tell_blocked()

    def stop(self) -> None:
        """Cancels the coroutine."""
        with self._lock:
            self._stopped = True
            if self._loop is not None and self._task is not None:
                self._loop.cancel(self._task)

    def take(self, loop: UserLoop) -> bool:
        """Gives the call to a loop; False where another one has it."""
        with self._lock:
            if self._loop is not None:
                return False
            self._loop = loop
        self.taken.set_result(None)
        return True

    def work(self) -> Coroutine[Any, Any, Any]:
        """Returns the coroutine."""
        return self._work

    def begun(self, task: asyncio.Task[Any]) -> None:
        """Follows the task until its end."""
        task.add_done_callback(self._end)
        with self._lock:
            self._task = task
            if self._stopped:
                task.cancel()

    def _end(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self.outcome.cancel()
        else:
            self.outcome.set_result(task.result())
