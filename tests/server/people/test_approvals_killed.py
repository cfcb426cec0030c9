"""G21 and G22 when the only worker is killed: a yes is waited for, and a payment is made once."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import KEY, told
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked
from counterstep.tests.support.tasks.workers import errand_worker


@pytest.mark.slow
async def test_a_kill_while_a_person_is_asked_and_in_a_payment_that_the_model_repeats(
    server: EmbeddedServer, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = f"killed-{uuid4()}"
    async with ModelServer() as models:
        for name, value in {**models.environment, "OPENAI_API_KEY": KEY}.items():
            monkeypatch.setenv(name, value)
        pays = Behaviour.calls(call("pay", what="milk", cents=10, late=HELD))
        models.for_model("cashier").reply(pays, pays, Behaviour.text("Paid."))
        tasks = Tasks(await Client.connect(server.address), queue)
        with worker_process(server.address, queue) as process:
            asks = await tasks.start([{"id": "p", "tool": "till.pay", "input": {"what": "tea"}}])
            repeats = await tasks.start([{"id": "c", "agent": "till.cashier", "input": {}}])
            await until_asked(asks, "p")
            await effects.until("done", "milk")
            process.kill()
        effects.release("milk")
        assert effects.what("begin") == ["milk"]
        async with errand_worker(server.address, queue, max_cached_workflows=0):
            await until_asked(asks, "p")
            (asked,) = (await asks.query("board"))["waiting_for"]
            await tell(asks, "decide", step="p", action="approve", hash=asked["hash"])
            assert (await end_of(asks)).type == "completed"
            assert (await end_of(repeats)).type == "completed"
        payments = effects.events("done")
        assert len({event.key for event in payments if event.what == "milk"}) == 1
        assert sorted(effects.effects()) == ["milk", "tea"]
        assert effects.what("undone") == []
        first, second = told(models.requests[-1], "tool")
        assert json.loads(second)["result"] == json.loads(first)
