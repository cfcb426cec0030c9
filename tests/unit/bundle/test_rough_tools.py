"""Tools that end programs, loops or themselves: the call ends as what it is, and the next ones go on."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from counterstep.bundle.execution import execute
from counterstep.bundle.function import Function


async def answer_of(tool: Callable[..., Any], environment: ActivityEnvironment | None = None) -> Any:
    environment = environment or ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, activity_type=f"rough.{tool.__name__}")
    return await asyncio.wait_for(environment.run(execute, Function(tool, "tool"), {}), 10)


async def failure_of(tool: Callable[..., Any]) -> ApplicationError:
    with pytest.raises(ApplicationError) as failed:
        await answer_of(tool)
    return failed.value


async def fine() -> str:
    await asyncio.sleep(0)
    return "fine"


async def leaves(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def exits_in_child() -> None:
    await asyncio.create_task(leaves(SystemExit(3)))


async def is_interrupted_in_child() -> None:
    await asyncio.gather(asyncio.sleep(30), leaves(KeyboardInterrupt()))


async def exits_in_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(leaves(SystemExit(3)))
        group.create_task(asyncio.sleep(30))


async def exits_in_wait() -> None:
    await asyncio.wait_for(leaves(SystemExit(3)), 30)


async def exits() -> None:
    sys.exit(3)


def exits_in_thread() -> None:
    sys.exit(3)


async def closes_loop() -> None:
    asyncio.get_running_loop().close()


async def runs_a_loop() -> None:
    work = fine()
    try:
        asyncio.run(work)
    finally:
        work.close()


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(30)


async def raises_cancelled() -> None:
    raise asyncio.CancelledError


def raises_cancelled_in_thread() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("tool", "type_"),
    [
        (exits_in_child, "SystemExit"),
        (is_interrupted_in_child, "KeyboardInterrupt"),
        (exits_in_group, "SystemExit"),
        (exits_in_wait, "SystemExit"),
        (exits, "SystemExit"),
        (exits_in_thread, "SystemExit"),
        (closes_loop, "RuntimeError"),
        (runs_a_loop, "RuntimeError"),
        (cancels_itself, "CancelledError"),
        (raises_cancelled, "CancelledError"),
        (raises_cancelled_in_thread, "CancelledError"),
    ],
)
async def test_it_fails_typed_and_the_next_call_goes_on(
    tool: Callable[[], Awaitable[None] | None], type_: str
) -> None:
    assert (await failure_of(tool)).type == type_
    assert await answer_of(fine) == "fine"


async def test_a_loop_that_is_stopped_goes_on() -> None:
    async def stops_loop() -> str:
        asyncio.get_running_loop().stop()
        asyncio.get_running_loop().call_soon(sys.exit)
        await asyncio.sleep(0.01)
        return "stopped"

    assert await answer_of(stops_loop) == "stopped"
    assert await answer_of(fine) == "fine"


async def test_a_loop_that_is_stopped_to_be_closed_from_outside_goes_on() -> None:
    refused = threading.Event()

    def close(loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(loop.stop)
        try:
            loop.close()
        except RuntimeError:
            refused.set()

    async def is_closed_upon() -> str:
        await asyncio.to_thread(close, asyncio.get_running_loop())
        return "done"

    assert await answer_of(is_closed_upon) == "done"
    assert refused.is_set()


async def test_what_a_tool_leaves_behind_goes_on_and_harms_nobody() -> None:
    done, left = threading.Event(), []

    async def later() -> None:
        await asyncio.sleep(0.01)
        done.set()
        sys.exit(3)

    async def leaves_a_task() -> str:
        left.append(asyncio.create_task(later()))
        return "left"

    assert await answer_of(leaves_a_task) == "left"
    assert await asyncio.to_thread(done.wait, 5)
    assert await answer_of(fine) == "fine"


async def test_a_cancel_that_was_asked_for_stays_a_cancel() -> None:
    begun = threading.Event()

    async def waits() -> None:
        begun.set()
        await asyncio.sleep(30)

    environment = ActivityEnvironment()
    running = asyncio.create_task(answer_of(waits, environment))
    assert await asyncio.to_thread(begun.wait, 5)
    environment.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
