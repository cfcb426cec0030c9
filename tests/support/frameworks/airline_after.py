"""The same with three lines changed, and tools that say how they are undone."""

from __future__ import annotations

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from agents import Runner

    from counterstep import Bundle, Effect, Saga, Undo, current_step
    from counterstep.adapters.openai_agents import saga_tools
    from counterstep.tests.support.frameworks.airline import agents, change, give_back

airline = Bundle("airline")


@airline.compensation
def take_back(undo: Undo[str]) -> None:
    give_back(undo.idempotency_key, undo.input["booking"])


@airline.tool(compensate=take_back, timeout="3s")
def update_seat(booking: str, seat: str) -> str:
    """Changes the seat of a booking."""
    return change(current_step().idempotency_key, booking, f"seat {seat}")


@airline.tool(compensate=take_back, timeout="3s")
def add_bag(booking: str, kilos: int) -> str:
    """Adds a bag to a booking."""
    return change(current_step().idempotency_key, booking, f"bag {kilos}")


@airline.tool(compensate=take_back, timeout="3s")
def charge(booking: str, euros: int) -> str:
    """Charges the card of a booking."""
    return change(current_step().idempotency_key, booking, f"fee {euros}")


@airline.tool(effect=Effect.READ_ONLY)
def answer_of(question: str) -> str:
    """Looks up what is often asked."""
    return "One bag of 23 kg is free."


TOOLS: list[Any] = [update_seat, add_bag, charge, answer_of]


@workflow.defn
class UndoableCustomerService:
    @workflow.run
    async def run(self, request: str) -> str:
        async with Saga() as saga:
            tools = saga_tools(saga, TOOLS)
            done = await Runner.run(agents(tools[3:], tools[:3]), request)
        return str(done.final_output)
