"""G8: an agent that is in its loop when its workflow is reset makes no call under a key that is undone."""

from __future__ import annotations

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.ledger.idempotency import idempotency_key
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import KEY, team
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.histories.history import reset
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_state
from counterstep.tests.support.tasks.work import put


async def test_what_it_calls_after_a_reset_is_done_anew(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    async with ModelServer() as models:
        for name, value in {**models.environment, "OPENAI_API_KEY": KEY}.items():
            monkeypatch.setenv(name, value)
        plugin = CounterstepPlugin([desk, team], inline_specs=True)
        client = await Client.connect(server.address, plugins=[plugin])
        async with Worker(client, task_queue=task_queue):
            tasks = Tasks(client, task_queue)
            second = [Behaviour.calls(call("put", what="y")), Behaviour.json({"placed": ["y"]})]
            models.for_model("tireless").reply(Behaviour.calls(call("put", what="x")), *second, *second)
            agent = {"id": "c", "agent": "team.tireless", "input": {}}
            handle = await tasks.start([agent, put("last", "c", fail="first")])
            assert (await end_of(handle)).type == "SagaRolledBack"
            assert effects.what("undone") == ["last", "y", "x"]

            again = await reset(client, handle, calls=2)  # the first turn of the model, and what it asked for
            (asked,) = (await until_state(again, "needs_attention"))["waiting_for"]
            await tell(again, "resolve", step=asked["step"], action="go_on")
            assert (await end_of(again)).type == "completed"
            run = handle.first_execution_run_id
            assert run is not None
            assert effects.what("refused") == []
            assert effects.effects() == {
                "y": idempotency_key(run, "c/tool.2", 2),
                "last": idempotency_key(run, "last", 2),
            }
