"""The customer service as it is: activities as tools, and nothing is undone."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from agents import Runner
    from temporalio.openai_agents.workflow import activity_as_tool

    from counterstep.tests.support.frameworks.airline import agents, change


@activity.defn
def update_seat(booking: str, seat: str) -> str:
    """Changes the seat of a booking."""
    return change(os.urandom(8).hex(), booking, f"seat {seat}")


@activity.defn
def add_bag(booking: str, kilos: int) -> str:
    """Adds a bag to a booking."""
    return change(os.urandom(8).hex(), booking, f"bag {kilos}")


@activity.defn
def charge(booking: str, euros: int) -> str:
    """Charges the card of a booking."""
    return change(os.urandom(8).hex(), booking, f"fee {euros}")


@activity.defn
def answer_of(question: str) -> str:
    """Looks up what is often asked."""
    return "One bag of 23 kg is free."


ACTIVITIES: list[Any] = [update_seat, add_bag, charge, answer_of]


@workflow.defn
class CustomerService:
    @workflow.run
    async def run(self, request: str) -> str:
        tools = [activity_as_tool(tool, start_to_close_timeout=timedelta(seconds=3)) for tool in ACTIVITIES]
        done = await Runner.run(agents(tools[3:], tools[:3]), request)
        return str(done.final_output)
