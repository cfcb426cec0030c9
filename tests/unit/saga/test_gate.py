"""So much at once, and no more."""

from __future__ import annotations

import asyncio
import time
from heapq import heappop, heappush

import pytest

from counterstep.saga.failure import Stopped
from counterstep.saga.temporal import gate as gate_module
from counterstep.saga.temporal.gate import Gate
from counterstep.saga.temporal.stop_scope import StopScope


async def test_so_many_are_let_through_and_the_others_in_their_order() -> None:
    gate, inside, most, order = Gate(3), 0, 0, []

    async def one(number: int) -> None:
        nonlocal inside, most
        await gate.enter()
        order.append(number)
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        gate.leave()

    await asyncio.gather(*map(one, range(50)))
    assert (most, order) == (3, list(range(50)))


async def test_who_finds_a_place_does_not_wait() -> None:
    gate = Gate(1)
    assert not await gate.enter()
    waiting = asyncio.ensure_future(gate.enter())
    await asyncio.sleep(0)
    gate.leave()
    assert await waiting
    gate.leave()
    assert not await gate.enter()


async def test_a_stop_ends_the_wait_and_takes_no_place() -> None:
    gate, scope = Gate(1), StopScope()
    await gate.enter()
    waiting = [asyncio.ensure_future(gate.enter("a", scope)) for _ in range(3)]
    other = asyncio.ensure_future(gate.enter("b", StopScope()))
    await asyncio.sleep(0)
    scope.stop("no more")
    for one in waiting:
        with pytest.raises(Stopped, match="no more"):
            await one
    gate.leave()
    assert await other
    gate.leave()
    assert not await gate.enter()


async def test_a_place_that_comes_together_with_a_cancel_is_passed_on() -> None:
    gate = Gate(1)
    await gate.enter()
    first, second = asyncio.ensure_future(gate.enter()), asyncio.ensure_future(gate.enter())
    await asyncio.sleep(0)
    gate.leave()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second


class Crowd:
    """Calls that take about as long, and a time that passes for nobody else.

    Attributes:
        now: The time, in seconds.
        inside: How many were inside after each that left.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.inside: list[int] = []

    def clock(self) -> float:
        """Tells the time."""
        return self.now

    async def pass_through(self, gate: Gate, number: int, seconds: float) -> None:
        """Sends so many through; each stays for so long, or up to twice as long."""
        ends: list[float] = []

        async def enter(at: int) -> None:
            await gate.enter()
            heappush(ends, self.now + seconds * (1 + at % 97 / 97))

        waiting = [asyncio.ensure_future(enter(at)) for at in range(number)]
        for _ in range(number):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.now = heappop(ends)
            gate.leave()
            self.inside.append(gate.inside)
        await asyncio.gather(*waiting)


async def test_calls_that_take_long_all_go_through() -> None:
    crowd = Crowd()
    await crowd.pass_through(Gate(500, crowd.clock), 2000, seconds=10)
    assert max(crowd.inside) == 500


async def test_of_fast_calls_no_more_go_through_than_one_workflow_task_takes() -> None:
    crowd = Crowd()
    await crowd.pass_through(Gate(500, crowd.clock), 2000, seconds=0.02)
    assert max(crowd.inside) <= 100
    assert set(crowd.inside[200:1900]) == {50}, "two events each, of the hundred that the server keeps"


async def test_where_no_call_ends_for_long_all_go_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "TICK", 0.01)
    began = time.monotonic()
    gate = Gate(500, lambda: 100 * (time.monotonic() - began))
    waiting = [asyncio.ensure_future(gate.enter()) for _ in range(600)]
    await asyncio.sleep(0)
    assert gate.inside == 100
    await asyncio.wait_for(asyncio.gather(*waiting[:500]), 10)
    assert gate.inside == 500
    for _ in range(600):
        gate.leave()
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert len(asyncio.all_tasks()) == 1, "nothing is watched any longer"


async def test_a_gate_with_few_places_keeps_them() -> None:
    crowd = Crowd()
    await crowd.pass_through(Gate(5, crowd.clock), 100, seconds=0.02)
    assert max(crowd.inside) == 5


async def test_without_a_clock_as_many_go_through_however_fast_they_are() -> None:
    crowd = Crowd()
    await crowd.pass_through(Gate(2000), 3000, seconds=0.001)
    assert max(crowd.inside) == 2000


async def test_fast_calls_after_slow_ones_are_not_let_in_all_at_once() -> None:
    crowd = Crowd()
    gate = Gate(500, crowd.clock)
    await crowd.pass_through(gate, 1000, seconds=10)
    crowd.inside.clear()
    crowd.now += 60
    await crowd.pass_through(gate, 1000, seconds=0.02)
    assert max(crowd.inside) <= 120


async def test_nobody_watches_a_full_gate_or_one_where_nobody_waits() -> None:
    crowd = Crowd()
    full, left = Gate(5, crowd.clock), Gate(500, crowd.clock)
    waiting = [asyncio.ensure_future(gate.enter()) for gate in (full, left) for _ in range(101)]
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1 + (101 - 5) + 1 + 1, "this one, those who wait, and one that watches"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert len(asyncio.all_tasks()) == 1
