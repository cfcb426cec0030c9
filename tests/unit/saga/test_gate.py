"""So much at once, and no more."""

from __future__ import annotations

import asyncio

import pytest

from counterstep.saga.failure import Stopped
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
