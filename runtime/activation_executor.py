"""Where a worker runs its workflows: short turns of ours in its event loop, all others in threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from typing import Any, Final
from weakref import WeakSet

from temporalio.worker import WorkflowInstance

from ..saga.temporal.sdk_internals import activated_workflow

MOST_THREADS: Final = 500
"""So many the SDK has where nothing else is said (`_WorkflowWorker` in temporalio 1.35)."""

SLOW_SECONDS: Final = 0.02
"""A workflow that has computed for so long in one turn has threads for all further ones."""


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
        if workflow is None or workflow in self._slow or not self._may_run_here(workflow):
            return super().submit(fn, *args, **kwargs)
        future: Future[Any] = Future()
        # Not at once: the worker's task is current here, and Python 3.14 lets no other one run meanwhile.
        # Nothing of the worker's context is the workflow's, as it would not be in a thread.
        loop = asyncio.get_running_loop()
        loop.call_soon(self._run_here, workflow, future, fn, args, context=Context())
        return future

    def _run_here(
        self, workflow: WorkflowInstance, future: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        if not future.set_running_or_notify_cancel():
            return
        loop = asyncio.get_running_loop()
        began = time.thread_time()
        try:
            result = fn(*args)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            # A workflow is an event loop of its own, and leaves none behind.
            asyncio._set_running_loop(loop)
            if time.thread_time() - began >= SLOW_SECONDS:
                self._slow.add(workflow)
