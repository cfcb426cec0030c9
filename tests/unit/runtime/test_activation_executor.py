"""Which turns of workflows run in the event loop, and what they find there."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar
from itertools import pairwise
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


async def test_a_workflow_that_has_held_up_the_loop_has_threads_from_then_on() -> None:
    runner = executor()
    slow, other = Turn(threading.get_ident), Turn(threading.get_ident)
    in_loop: list[bool] = []
    for seconds in (2 * SLOW_SECONDS, 0.0, 0.0):
        slow.seconds = seconds
        in_loop.append(await activated(runner, slow) == threading.get_ident())
        assert await activated(runner, other) == threading.get_ident()
    assert in_loop == [True, False, False]


async def test_each_turn_has_a_round_of_the_loop_for_itself() -> None:
    runner, loop = executor(), asyncio.get_running_loop()
    seen: list[str] = []

    def begin_round() -> None:
        seen.append("round")
        if len(seen) < 12:
            loop.call_soon(begin_round)

    turns = [Turn(lambda: seen.append("turn")) for _ in range(3)]
    loop.call_soon(begin_round)
    await asyncio.gather(*(activated(runner, turn) for turn in turns))
    assert [a for a, b in pairwise(seen) if (a, b) == ("turn", "turn")] == []
    assert seen.count("turn") == 3


async def test_a_turn_finds_nothing_of_the_loop_that_it_would_not_find_in_a_thread() -> None:
    """The workflow brings its own loop, and what leaves that is not the worker's to finish."""
    before = sys.get_asyncgen_hooks()
    found: list[Any] = []

    class Bare(Turn):
        def activate(self, act: WorkflowActivation) -> Any:
            found.append((asyncio._get_running_loop(), *sys.get_asyncgen_hooks()))

    await activated(executor(), Bare(print))
    assert found == [(None, None, None)]
    assert sys.get_asyncgen_hooks() == before


async def test_a_turn_that_nobody_waits_for_any_more_does_not_run() -> None:
    done: list[str] = []
    running = _RunningWorkflow(Turn(lambda: done.append("ran")), "order-1")
    future: Future[Any] = executor().submit(running.activate, WorkflowActivation())
    assert future.cancel()
    await asyncio.sleep(0.01)
    assert done == []


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_what_is_to_end_the_process_is_not_kept_by_a_workflow(signal: type[BaseException]) -> None:
    def interrupt() -> None:
        raise signal

    async def goes_on_in_any_case() -> None:
        """As the SDK does where it throws a workflow away."""
        with suppress(BaseException):
            await activated(executor(), Turn(interrupt))

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(signal):
            loop.run_until_complete(goes_on_in_any_case())
        assert loop.run_until_complete(asyncio.sleep(0, "is whole")) == "is whole"
    finally:
        loop.close()
