"""The event loops on which the coroutines of users run, apart from the worker's own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Final

BLOCKED_SECONDS: Final = 0.5
"""A loop that has not begun a call after this time is blocked, and the call is given to another one."""

BLOCKING_SECONDS: Final = 1.0
"""A function that has kept its loop from all other work for so long in one go gets a loop of its own."""

logger = logging.getLogger("counterstep")


class UserLoop:
    """One event loop in a thread of its own.

    Coroutines share the first loop, because clients and locks belong to a loop. While a coroutine blocks it
    with ``time.sleep`` or a long computation, further calls run on another one. What has begun on a loop
    cannot leave it, so a function that has blocked once runs on a loop of its own from then on.

    Attributes:
        is_blocked: Whether it did not begin a call in time, and has not begun it since.
        names: What has begun on it and not ended.
    """

    _all: Final[defaultdict[str, list[UserLoop]]] = defaultdict(list)
    _blocking: Final[set[str]] = set()
    _lock: Final = threading.Lock()

    def __init__(self) -> None:
        """Starts the thread."""
        self.is_blocked = False
        self.names: list[str] = []
        self._loop = _OpenLoop()
        threading.Thread(target=self._serve, name="counterstep-user-loop", daemon=True).start()

    @classmethod
    def free(cls, name: str) -> UserLoop:
        """Returns the first loop that is not blocked, for a call of the function of this name."""
        with cls._lock:
            loops = cls._all[name if name in cls._blocking else ""]
            found = next((loop for loop in loops if not loop.is_blocked), None)
            if found is None:
                found = cls()
                loops.append(found)
            return found

    @classmethod
    def tell_blocking(cls, name: str, seconds: float) -> None:
        """Gives a function that has blocked its loop a loop of its own from now on, and says so once."""
        with cls._lock:
            if name in cls._blocking:
                return
            cls._blocking.add(name)
        logger.warning(
            "the async function %s has blocked the event loop for %.1f s; from now on it runs on a loop of "
            "its own. Make it a plain function, which runs in a thread.",
            name,
            seconds,
        )

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
                ", ".join(self.names) or "unknown",
            )

    def cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancels a task of this loop, from another thread."""
        self._loop.call_soon_threadsafe(task.cancel)

    def _serve(self) -> None:
        """Runs the loop, whatever users' code does to it.

        ``SystemExit`` in a task that a tool has begun comes out here as well as where the task is awaited,
        and ``loop.stop()`` ends the run: the loop goes on in either case.
        """
        while True:
            try:
                self._loop.run_forever()
            except BaseException as error:
                logger.warning("%r was raised in the event loop of users' code, which goes on", error)

    def _begin(self, call: UserCall) -> None:
        self.is_blocked = False
        if not call.has_begun:
            call.tasks.append(self._loop.create_task(call.run(self)))


class UserCall:
    """One call of a coroutine function, on whichever loop comes to it first.

    It is made, started and awaited on one event loop, the caller's. Each message between the threads wakes
    one of them up, so there are two: that there is something to do, and what has become of it.

    Attributes:
        name: What is called.
        outcome: What ``work`` returns. It is done only when the coroutine has ended, because nothing that it
            still does may land after its undo.
        tasks: Those that may begin it, one for each loop that it was offered to.
    """

    def __init__(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        """Prepares a call; `work` raises nothing but ``asyncio.CancelledError``."""
        self.name = name
        self._caller = asyncio.get_running_loop()
        self.outcome: asyncio.Future[Any] = self._caller.create_future()
        self.tasks: list[asyncio.Task[Any]] = []
        self._work = work
        self._lock = threading.Lock()
        self._loop: UserLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._stopped = False

    @property
    def has_begun(self) -> bool:
        """Whether the coroutine has begun somewhere."""
        return self._loop is not None

    def start(self) -> None:
        """Has a loop begin the call; where that is blocked, another one."""
        loop = UserLoop.free(self.name)
        loop.offer(self)
        self._watch = self._caller.call_later(BLOCKED_SECONDS, self._look_after, loop)

    def stop(self) -> None:
        """Cancels the coroutine."""
        with self._lock:
            self._stopped = True
            if self._loop is not None and self._task is not None:
                self._loop.cancel(self._task)

    async def run(self, loop: UserLoop) -> None:
        """Does the work, unless another loop has begun it; until its first line it can change loops."""
        loop.is_blocked = False
        task = asyncio.current_task()
        assert task is not None
        with self._lock:
            if self._loop is not None:
                return
            self._loop, self._task = loop, task
            stopped = self._stopped
        if stopped:
            self._work.close()
            self._tell(self.outcome.cancel)
            return
        loop.names.append(self.name)
        try:
            self._tell(self._succeed, await _Steps(self._work, self.name))
        except asyncio.CancelledError:
            self._tell(self.outcome.cancel)
        finally:
            loop.names.remove(self.name)

    def _look_after(self, loop: UserLoop) -> None:
        if not self.has_begun:
            loop.tell_blocked()
            self.start()

    def _tell(self, what: Callable[..., object], *args: Any) -> None:
        """Has the caller's loop do something; where that is closed, nobody waits any more."""
        with suppress(RuntimeError):
            self._caller.call_soon_threadsafe(self._end, what, *args)

    def _end(self, what: Callable[..., object], *args: Any) -> None:
        if self._watch is not None:
            self._watch.cancel()
        what(*args)

    def _succeed(self, result: Any) -> None:
        if not self.outcome.done():
            self.outcome.set_result(result)


class _OpenLoop(asyncio.SelectorEventLoop):
    """A loop that other calls need as well, so that no user's code can close it."""

    def close(self) -> None:
        raise RuntimeError("this event loop is shared with other calls and cannot be closed")


class _Steps(Generator[Any, Any, Any]):
    """Goes through a coroutine, and tells when it keeps the loop to itself for too long."""

    def __init__(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        self._work = work
        self._name = name

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def send(self, value: Any) -> Any:
        began = time.monotonic()
        try:
            return self._work.send(value)
        finally:
            self._look(began)

    def throw(self, *error: Any) -> Any:
        began = time.monotonic()
        try:
            return self._work.throw(*error)
        finally:
            self._look(began)

    def close(self) -> None:
        self._work.close()

    def _look(self, began: float) -> None:
        seconds = time.monotonic() - began
        if seconds >= BLOCKING_SECONDS:
            UserLoop.tell_blocking(self._name, seconds)
