"""A saga that does what its list says, and tools that hang, block or ignore a cancel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from counterstep import Agent, Bundle, Effect, Saga, Undo, current_step
    from counterstep.tests.support.bundles.desk import (
        Placed,
        announce,
        hand_over,
        look,
        plotter,
        put,
        put_async,
        record,
        take_back,
    )

errands = Bundle("errands")


@errands.tool(compensate="take_back_hanging")
def put_hanging(what: str, hang: str, seconds: float = 60) -> Placed:
    """Puts a thing on the desk; the first attempt hangs in one place, until its process is killed.

    Args:
        hang: ``before`` or ``after`` the effect, ``undo_before`` or ``undo_after`` the undo's effect.
        seconds: How long it hangs.
    """
    _hang(what, hang == "before", seconds)
    placed = put(what)
    _hang(what, hang == "after", seconds)
    return placed


@errands.compensation
def take_back_hanging(undo: Undo[Placed]) -> None:
    """Takes it off again, with the hang that the forward call was given."""
    what, hang, seconds = (undo.input.get(name, 60) for name in ("what", "hang", "seconds"))
    _hang(what, hang == "undo_before", seconds)
    take_back(undo)
    _hang(what, hang == "undo_after", seconds)


def _hang(what: str, here: bool, seconds: float) -> None:
    if here and current_step().attempt == 1:
        record("hang", what)
        time.sleep(seconds)


@errands.tool(compensate="desk.take_back", interruptible=True)
async def put_interruptible(what: str, delay: float = 0, late: float = 0) -> Placed:
    """Puts a thing on the desk and may be interrupted, before and after it has done so."""
    return await put_async(what, delay, late)


@errands.tool(compensate="desk.take_back", interruptible=True)
async def put_stubbornly(what: str, delay: float = 0) -> Placed:
    """Is interrupted, and puts the thing on the desk all the same, some time later."""
    record("begin", what)
    try:
        await asyncio.sleep(delay)
    finally:
        record("interrupted", what)
        await asyncio.sleep(1)
        placed = put(what)
    return placed


@errands.tool(compensate="keep")
def put_for_good(what: str) -> Placed:
    """Puts a thing on the desk that nobody can take off again."""
    return put(what)


@errands.compensation
def keep(undo: Undo[Placed]) -> None:
    """Fails for good."""
    raise ApplicationError("it is glued to the desk", non_retryable=True)


@errands.tool(effect=Effect.READ_ONLY)
async def block(what: str, seconds: float) -> str:
    """Blocks the event loop that it runs on, as async code should never do."""
    record("block", what)
    time.sleep(seconds)  # noqa: ASYNC251
    return what


@errands.tool(effect=Effect.READ_ONLY)
def count(what: str, seconds: float) -> list[Any]:
    """Sends a heartbeat of its own and fails; the second attempt tells what it has found of it."""
    if current_step().attempt > 1:
        return list(activity.info().heartbeat_details)
    activity.heartbeat(what)
    time.sleep(seconds)
    raise RuntimeError(f"{what} was not counted")


@errands.tool(compensate="desk.take_back")
async def tell_step(what: str) -> dict[str, Any]:
    """Tells what it knows of itself."""
    step = current_step()
    await put_async(what)
    return {
        "idempotency_key": step.idempotency_key,
        "task_id": step.task_id,
        "step": step.step,
        "attempt": step.attempt,
    }


@errands.agent(compensate="desk.take_back")
def put_instead(what: str, fail: str = "", undo_delay: float = 0) -> Placed:
    """An agent written in Python, for steps whose own tool has failed."""
    return put(what)


errands.add(
    Agent(
        name="clerk",
        description="Puts one thing on the desk.",
        instructions="Put one thing on the desk.",
        model="openai/clerk",
        tools=[put_hanging],
        output=str,
    )
)

errands.add(
    Agent(
        name="patient",
        description="Puts many things on the desk, one after the other.",
        instructions="Take your time.",
        model="openai/patient",
        tools=[put, put_hanging],
        output=str,
        max_turns=100,
    )
)


@activity.defn
async def put_plainly(what: str, delay: float, late: float) -> Placed:
    """An activity as users have them, known to no bundle."""
    return await put_async(what, delay, late)


@activity.defn
def put_plainly_in_thread(what: str, delay: float, late: float) -> Placed:
    """Another one, that is not async."""
    return put(what, delay, late)


errands.add(put_plainly)
errands.add(put_plainly_in_thread)

_TOOLS: Mapping[str, Any] = {
    tool.__name__: tool
    for tool in (
        announce,
        block,
        count,
        hand_over,
        look,
        put,
        put_async,
        put_for_good,
        put_hanging,
        put_interruptible,
        put_stubbornly,
        tell_step,
    )
}


@workflow.defn
class Errand:
    """One saga around a list of acts, one after the other, or side by side."""

    @workflow.run
    async def run(self, acts: list[dict[str, Any]]) -> list[Any]:
        async with Saga() as saga:
            return [await _do(saga, act) for act in acts]


@workflow.defn
class ErrandsInTurn:
    """Several errands, each in a saga of its own, one after the other."""

    @workflow.run
    async def run(self, errands: list[list[dict[str, Any]]]) -> list[list[Any]]:
        return [await Errand().run(acts) for acts in errands]


@workflow.defn
class HastyErrand:
    """An errand that its own workflow gives up when it is told to hurry, its rollback included."""

    def __init__(self) -> None:
        self._limit = asyncio.timeout(None)

    @workflow.run
    async def run(self, acts: list[dict[str, Any]]) -> list[Any]:
        async with self._limit:
            return await Errand().run(acts)

    @workflow.signal
    def hurry(self) -> None:
        self._limit.reschedule(asyncio.get_running_loop().time())


async def _do(saga: Saga, act: Mapping[str, Any]) -> Any:
    match act:
        case {"call": "plain", "what": what, **given}:
            return await _call_plainly(saga, what, **given)
        case {"approve": ask, **keys}:
            decision = await saga.approve(ask, **keys)
            return [decision.action, decision.value, decision.by, decision.note]
        case {"wait": awaited}:
            return await saga.wait(**awaited)
        case {"undo": step}:
            return await saga.undo(step)
        case {"plan": operations, **amended}:
            terms = {name: amended[name] for name in ("step", "keep", "max_parallel") if name in amended}
            tools = amended.get("tools", [put, look, hand_over])
            plan = await saga.plan(plotter, operations, tools=tools, **terms)
            if "before" in amended or "amend" in amended:
                await _do(saga, amended.get("before", {"wait": {"time": "1ms"}}))
            if "amend" in amended:
                await plan.amend(amended["amend"])
            return {id_: output["what"] for id_, output in plan.outputs.items()}
        case {"call": tool, **arguments}:
            return await saga.call(_TOOLS.get(tool, tool), **arguments)
        case {"gather": acts}:
            return await saga.gather(*(_do(saga, inner) for inner in acts))
        case {"in turn": acts}:
            return [await _do(saga, inner) for inner in acts]
        case {"asyncio.gather": acts}:
            return await asyncio.gather(*(_do(saga, inner) for inner in acts))
        case {"asyncio.TaskGroup": acts}:
            async with asyncio.TaskGroup() as group:
                for inner in acts:
                    group.create_task(_do(saga, inner))
        case {"sleep": seconds}:
            await workflow.sleep(seconds)
        case {"within": seconds, "do": inner}:
            try:
                async with asyncio.timeout(seconds):
                    return await _do(saga, inner)
            except TimeoutError:
                return "too late"
        case {"swallow": inner}:
            try:
                return await _do(saga, inner)
            except asyncio.CancelledError:
                return "swallowed"
        case {"catch": inner}:
            try:
                return await _do(saga, inner)
            except ApplicationError as error:
                return error.type
        case {"saga": inner}:
            async with Saga() as another:
                return [await _do(another, act) for act in inner]
        case {"two sagas at once": inner}:
            return await asyncio.gather(*(_do(saga, {"saga": inner}) for _ in range(2)))
        case {"fail": message}:
            raise ValueError(message)
    return None


async def _call_plainly(
    saga: Saga,
    what: str,
    delay: float = 0,
    late: float = 0,
    attempts: int = 1,
    timeout: float = 60,
    heartbeat: float = 10,
    thread: bool = False,
) -> Any:
    return await saga.call(
        put_plainly_in_thread if thread else put_plainly,
        what,
        delay,
        late,
        undo=take_back,
        step=what,
        start_to_close_timeout=timedelta(seconds=timeout),
        heartbeat_timeout=timedelta(seconds=heartbeat),
        retry_policy=RetryPolicy(maximum_attempts=attempts),
    )
