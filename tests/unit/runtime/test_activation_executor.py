"""Which turns of workflows run in the event loop, and what they find there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any

import pytest
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.worker import WorkflowInstance
from temporalio.worker._workflow import _RunningWorkflow

from counterstep.runtime.activation_executor import SLOW_SECONDS, ActivationExecutor

NOTE: ContextVar[str] = ContextVar("NOTE", default="nothing")


class Turn(WorkflowInstance):
    """A workflow whose turns do one thing; with a loop of its own, as each has."""

    def __init__(self, does: Callable[[], Any]) -> None:
        self.does = does
        self.is_known = True
        self.seconds = 0.0

    def activate(self, act: WorkflowActivation) -> Any:
        """Does it."""
        own = asyncio.new_event_loop()
        asyncio._set_running_loop(own)
        try:
            time.sleep(self.seconds)
            return self.does()
        finally:
            asyncio._set_running_loop(None)
            own.close()

    def get_info(self) -> Any:
        """Is not asked."""
        raise NotImplementedError

    def get_serialization_context(self, command_info: Any) -> None:
        """Is not asked."""
        raise NotImplementedError

    def get_external_store_context(self, command_info: Any) -> Any:
        """Is not asked."""
        raise NotImplementedError


def executor() -> ActivationExecutor:
    """Runs in the event loop what is known."""
    return ActivationExecutor(2, lambda workflow: isinstance(workflow, Turn) and workflow.is_known)


async def activated(runner: ActivationExecutor, workflow: Turn) -> Any:
    """Has a turn run as the SDK does."""
    running = _RunningWorkflow(workflow, "order-1")
    return await asyncio.get_running_loop().run_in_executor(runner, running.activate, WorkflowActivation())


async def test_a_turn_runs_in_the_event_loop_and_leaves_it_as_it_was() -> None:
    loop = asyncio.get_running_loop()
    NOTE.set("of the worker")

    def look() -> tuple[int, bool, str]:
        seen = NOTE.get()
        NOTE.set("of the workflow")
        return threading.get_ident(), asyncio.get_running_loop() is loop, seen

    answer = await activated(executor(), Turn(look))
    assert answer == (threading.get_ident(), False, "nothing")
    assert asyncio.get_running_loop() is loop
    assert NOTE.get() == "of the worker"


async def test_what_a_turn_raises_is_told_and_the_loop_goes_on() -> None:
    def fail() -> None:
        raise ValueError("it broke")

    with pytest.raises(ValueError, match="it broke"):
        await activated(executor(), Turn(fail))
    assert await asyncio.sleep(0, "goes on") == "goes on"


async def test_others_run_in_threads() -> None:
    runner = executor()
    stranger = Turn(threading.get_ident)
    stranger.is_known = False
    assert await activated(runner, stranger) != threading.get_ident()
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(runner, threading.get_ident) != threading.get_ident()


async def test_after_a_long_turn_a_workflow_takes_the_next_one_in_a_thread() -> None:
    runner = executor()
    slow, other = Turn(threading.get_ident), Turn(threading.get_ident)
    in_loop: list[bool] = []
    for seconds in (2 * SLOW_SECONDS, 2 * SLOW_SECONDS, 0.0, 0.0):
        slow.seconds = seconds
        in_loop.append(await activated(runner, slow) == threading.get_ident())
        assert await activated(runner, other) == threading.get_ident()
    assert in_loop == [True, False, False, True]


async def test_a_turn_that_nobody_waits_for_any_more_does_not_run() -> None:
    done: list[str] = []
    running = _RunningWorkflow(Turn(lambda: done.append("ran")), "order-1")
    future: Future[Any] = executor().submit(running.activate, WorkflowActivation())
    assert future.cancel()
    await asyncio.sleep(0.01)
    assert done == []


def test_an_interrupt_of_the_process_is_not_kept_by_a_workflow() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(activated(executor(), Turn(interrupt)))
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
