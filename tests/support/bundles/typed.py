"""What type checkers infer from the public API; `make check` fails where this is not so."""

from __future__ import annotations

from typing import Any, assert_type

from pydantic import BaseModel

from counterstep import Agent, Bundle, Effect, Saga

typed = Bundle("typed")


class Answer(BaseModel):
    text: str


@typed.tool(effect=Effect.READ_ONLY)
async def coroutine(x: int) -> str:
    return str(x)


@typed.tool(effect=Effect.READ_ONLY)
def function(x: int) -> float:
    return float(x)


agent = typed.add(Agent(name="agent", description="", instructions="", output=Answer))


async def calls(saga: Saga) -> None:
    assert_type(agent, Agent[Answer])
    assert_type(await saga.call(agent, {"x": 1}), Answer)
    assert_type(await saga.call(coroutine, x=1), str)
    assert_type(await saga.call(function, 1, validate=["output > 0.0"]), float)
    assert_type(await saga.call("typed.function", 1), Any)
