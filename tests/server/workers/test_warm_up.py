"""A worker loads its model client before it takes work: loading amid work would hold up all of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep import Agent, Bundle
from counterstep.activities.models import litellm_client
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.bundles.agents import team
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks
from counterstep.tests.support.tasks.work import put

FIRST_CALL = """
import asyncio, os, sys
from counterstep.activities.models.call_model import ModelCalls, warm_up
from counterstep.pool_limits.pool import Pool
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer

async def ask():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    tool = {"name": "t", "description": "", "parameters": schema}
    messages = [{"role": "user", "content": "x"}]
    async with ModelServer() as models:
        os.environ.update(models.environment)
        models.default = Behaviour.json({"a": "x"})
        before = set(sys.modules)
        await ModelCalls(Pool()).call_model({"agent": "a", "models": ["openai/x"], "messages": messages,
                                             "tools": [tool], "output_schema": schema})
        assert models.count() == 1
    print(len(set(sys.modules) - before))

if "warm" in sys.argv:
    warm_up()
asyncio.run(ask())
"""


def loaded_by_first_call(*arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALL, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "never" not in done.stderr, done.stderr
    return int(done.stdout)


played = Bundle("played", stand_in=True)
played.add(Agent(name="actor", description="Acts.", instructions="Act."))


@pytest.mark.slow
def test_after_it_the_first_call_loads_next_to_nothing() -> None:
    # Without it, several hundred modules.
    assert loaded_by_first_call("warm") < 30


@pytest.mark.parametrize(
    ("bundles", "expected"), [([desk], []), ([desk, played], []), ([desk, team], ["cold"])]
)
async def test_a_worker_with_model_agents_is_warm_before_it_takes_work(
    server: EmbeddedServer,
    task_queue: str,
    effects: Desk,
    monkeypatch: pytest.MonkeyPatch,
    bundles: list[Bundle],
    expected: list[str],
) -> None:
    found: list[str] = []
    monkeypatch.setattr(
        litellm_client, "warm_up", lambda: found.append("warm" if effects.events() else "cold")
    )
    client = await Client.connect(server.address, plugins=[CounterstepPlugin(bundles, inline_specs=True)])
    act = {"id": "b", "agent": "played.actor", "needs": ["a"]}
    handle = await Tasks(client, task_queue).start([put("a"), *([act] if played in bundles else [])])
    async with Worker(client, task_queue=task_queue):
        await handle.result()
    assert found == expected
