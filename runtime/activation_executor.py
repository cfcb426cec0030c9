"""Where a worker runs its workflows: short turns of ours in its event loop, all others in threads."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from functools import partial
from typing import Any, Final, NamedTuple, cast
from weakref import WeakKeyDictionary, WeakSet

from temporalio.worker import WorkflowInstance

from ..saga.temporal.sdk_internals import activated_workflow

MOST_THREADS: Final = 500
"""So many the SDK has where nothing else is said (`_WorkflowWorker` in temporalio 1.35)."""

SLOW_SECONDS: Final = 0.02
"""A workflow that has held up the event loop for so long has threads for all further turns."""


class ActivationExecutor(ThreadPoolExecutor):
    """Runs activations: what workflows do in one turn, until all of their coroutines wait.

    Temporal's SDK runs each in a thread, so that one which never ends holds up no other. A turn of a task is
    over within a millisecond as a rule; waking the thread, waiting for the interpreter's lock beside it and
    waking the event loop again cost some percent of a worker's CPU time (``make bench``). The debug mode of
    the SDK runs workflows in the event loop in the same way.
    """

    def __init__(self, threads: int, may_run_here: Callable[[WorkflowInstance], bool]) -> None:
        """Makes the executor of one worker.

        Args:
            threads: How many there are at most.
            may_run_here: Says of a workflow whether its code is known to wait soon.
        """
        super().__init__(max_workers=threads, thread_name_prefix="temporal_workflow_")
        self._may_run_here = may_run_here
        self._slow: WeakSet[WorkflowInstance] = WeakSet()
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, deque[_Turn]] = WeakKeyDictionary()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Runs `fn`, which the worker wants to be run, in this event loop or in a thread."""
        workflow = activated_workflow(fn)
        if workflow is None or workflow in self._slow or not self._may_run_here(workflow):
            return super().submit(fn, *args, **kwargs)
        loop = asyncio.get_running_loop()
        turn = _Turn(workflow, partial(fn, *args, **kwargs), loop.create_future())
        turns = self._turns.setdefault(loop, deque())
        turns.append(turn)
        if len(turns) == 1:
            self._go_on(loop, turns)
        # What `run_in_executor` wants of a future is one of its loop, and this is one already: no message to
        # its own thread has to wake it.
        return cast("Future[Any]", turn.answer)

    def _go_on(self, loop: asyncio.AbstractEventLoop, turns: deque[_Turn]) -> None:
        # Not at once: the worker's task is current here, and Python 3.14 lets no other one run meanwhile.
        # Nothing of the worker's context is the workflow's, as it would not be in a thread.
        loop.call_soon(self._take_turn, loop, turns, context=Context())

    def _take_turn(self, loop: asyncio.AbstractEventLoop, turns: deque[_Turn]) -> None:
        # One in each round of the loop: from Python 3.12 on, `asyncio.wait_for` forgets an answer that came
        # in the round in which its time is up, and the SDK gives a turn 2 s.
        turn = turns.popleft()
        if turns:
            self._go_on(loop, turns)
        if turn.answer.done():
            return
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        asyncio._set_running_loop(None)
        began = time.monotonic()
        try:
            turn.take()
        finally:
            asyncio._set_running_loop(loop)
            sys.set_asyncgen_hooks(*hooks)
            if time.monotonic() - began >= SLOW_SECONDS:
                self._slow.add(turn.workflow)


class _Turn(NamedTuple):
    """A turn that a workflow is to take in an event loop, where it finds what it would find in a thread."""

    workflow: WorkflowInstance
    activate: Callable[[], Any]
    answer: asyncio.Future[Any]

    def take(self) -> None:
        try:
            result = self.activate()
        except (KeyboardInterrupt, SystemExit):
            # They are meant for the process, and the worker would go on after them.
            self.answer.cancel()
            raise
        except BaseException as error:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(result)
