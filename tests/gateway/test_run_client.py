"""What a host tells the workflow of its run, and what it makes of the answers."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError

from counterstep.activities.gateway.run_client import RunClient
from counterstep.activities.models.hosted.hosted_bodies import HostedBodies, ProviderRefusal

KEY = "model:0123456789abcdef:1"
LOST = {"refusal": {"type": "Timeout", "message": "nobody has answered", "status": 424, "lost": True}}


class Handle:
    """A workflow that answers updates with what is next; the answer to a model comes beside, in memory."""

    id = "trip"

    def __init__(self, bodies: HostedBodies, *told: dict[str, Any]) -> None:
        self.bodies = bodies
        self.told = list(told)
        self.ids: list[str] = []

    async def execute_update(self, name: str, said: Any, *, id: str) -> dict[str, Any]:
        self.ids.append(id)
        told = self.told.pop(0)
        if "refusal" not in told:
            assert self.bodies.body(KEY) == ("chat", {"messages": []})
            self.bodies.keep(KEY, {"id": "a"})
        return told


def client_of(handle: Any) -> RunClient:
    """The client of a second host of this workflow."""
    return RunClient(handle, 2, handle.bodies, loose=False)


async def test_a_request_whose_answer_went_down_with_an_earlier_host_is_made_again() -> None:
    bodies = HostedBodies()
    handle = Handle(bodies, LOST, LOST, {})
    run = client_of(handle)
    answer = await run.model(KEY, "chat", "openai/m", {"messages": []})
    assert answer.value == {"id": "a"} and answer.refusal is None
    assert handle.ids == [f"{KEY}/2", f"{KEY}/2/2", f"{KEY}/2/3"]


@pytest.mark.parametrize(
    ("type_", "said", "told"),
    [("ModelRefused", None, 400), ("ModelUnavailable", None, 503), ("ModelRefused", 404, 404)],
)
async def test_only_what_may_be_answered_later_is_told_as_unavailable(
    type_: str, said: int | None, told: int
) -> None:
    """A client asks again at 503; without a key in the worker's environment that is in vain."""
    bodies = HostedBodies()

    class Refusing(Handle):
        async def execute_update(self, name: str, said_: Any, *, id: str) -> dict[str, Any]:
            bodies.refuse(KEY, ProviderRefusal(said, "no key"))
            return {"refusal": {"type": type_, "message": "no key", "status": 424}}

    run = client_of(Refusing(bodies))
    answer = await run.model(KEY, "chat", "openai/m", {"messages": []})
    assert answer.refusal is not None and answer.refusal.status == told


async def test_another_refusal_is_told() -> None:
    refusal = {**LOST["refusal"], "lost": False}
    bodies = HostedBodies()
    handle = Handle(bodies, {"refusal": refusal})
    run = client_of(handle)
    answer = await run.model(KEY, "chat", "openai/m", {"messages": []})
    assert answer.refusal is not None and answer.refusal.message == "nobody has answered"
    assert handle.ids == [f"{KEY}/2"]


async def test_a_run_that_does_not_answer_in_time_is_told() -> None:
    bodies = HostedBodies()

    class Silent(Handle):
        async def execute_update(self, name: str, said: Any, *, id: str) -> dict[str, Any]:
            raise WorkflowUpdateRPCTimeoutOrCancelledError

    run = client_of(Silent(bodies))
    for answer in (
        await run.model(KEY, "chat", "openai/m", {"messages": []}),
        await run.tool("t", "book", {}),
    ):
        assert answer.refusal is not None
        assert (answer.refusal.message, answer.refusal.status) == ("the run does not answer", 503)


def test_an_answer_for_which_nobody_waits_any_more_is_not_an_error() -> None:
    bodies = HostedBodies()
    bodies.put(KEY, "chat", {})
    assert bodies.take(KEY) == (None, None)
    bodies.keep(KEY, {"id": "a"})
    assert bodies.take(KEY) == (None, None)
