"""Where a worker runs its workflows: short turns of ours in its event loop, all others in threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from typing import Any, Final, cast
from weakref import WeakSet

from temporalio.worker import WorkflowInstance

from ..saga.temporal.sdk_internals import activated_workflow

MOST_THREADS: Final = 500
"""So many the SDK has where nothing else is said (`_WorkflowWorker` in temporalio 1.35)."""

SLOW_SECONDS: Final = 0.02
"""After a turn that has taken so long, a workflow takes the next one in a thread."""


class ActivationExecutor(ThreadPoolExecutor):
    """Runs activations: what workflows do in one turn, until all of their coroutines wait.

    Temporal's SDK runs each in a thread, so that one which never ends holds up no other. A turn of a task is
    over within a millisecond as a rule; waking the thread, waiting for the interpreter's lock beside it and
    waking the event loop again was about a twentieth of a worker's CPU time (``make bench``). The SDK's debug
    mode runs workflows in the event loop in the same way.
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

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Runs `fn`, which the worker wants to be run, in this event loop or in a thread."""
        workflow = activated_workflow(fn)
        if workflow is None or not self._may_run_here(workflow):
            return super().submit(fn, *args, **kwargs)
        if workflow in self._slow:
            return super().submit(self._timed, workflow, fn, *args)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        # Not at once: the worker's task is current here, and Python 3.14 lets no other one run meanwhile.
        # Nothing of the worker's context is the workflow's, as it would not be in a thread.
        loop.call_soon(self._run_here, answer, workflow, fn, *args, context=Context())
        # What `run_in_executor` wants of a future is one of its loop, and this is one already: no message to
        # its own thread has to wake it.
        return cast("Future[Any]", answer)

    def _run_here(
        self, answer: asyncio.Future[Any], workflow: WorkflowInstance, fn: Callable[..., Any], *args: Any
    ) -> None:
        if answer.cancelled():
            return
        try:
            result = self._timed(workflow, fn, *args)
        except BaseException as error:
            answer.set_exception(error)
        else:
            answer.set_result(result)
        finally:
            # A workflow is an event loop of its own, and leaves none behind.
            asyncio._set_running_loop(answer.get_loop())

    def _timed(self, workflow: WorkflowInstance, fn: Callable[..., Any], *args: Any) -> Any:
        # By the clock, and not by what it has computed: so long nothing else runs in the event loop.
        began = time.monotonic()
        try:
            return fn(*args)
        finally:
            if time.monotonic() - began >= SLOW_SECONDS:
                self._slow.add(workflow)
            else:
                self._slow.discard(workflow)
