"""What a real model was asked and has answered, kept so that tests can play it again without the model.

``python -m counterstep.tests.support.models.recorded NAME URL`` records a scenario: it runs the task with the
model that an OpenAI-compatible server at URL serves, and keeps each request and its answer in ``NAME.json``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.plugin import CounterstepPlugin
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer
from counterstep.testing.server import temporal_server
from counterstep.tests.support.bundles.desk import VARIABLE, Desk, desk
from counterstep.tests.support.bundles.inn import inn
from counterstep.tests.support.tasks.tasks import End, Tasks

FOLDER = Path(__file__).parent

BOOK = {
    "id": "book",
    "agent": "inn.porter",
    "input": {"city": "Lisbon", "nights": 3},
    "retry": {"attempts": 1},
}
BREAKS = {
    "id": "breaks",
    "needs": ["book"],
    "tool": "desk.put",
    "input": {"what": "x", "fail": "not_applied"},
}

SCENARIOS: Mapping[str, Sequence[Mapping[str, Any]]] = {"booked": [BOOK], "undone": [BOOK, BREAKS]}
"""The steps of each task."""


def turns_of(name: str) -> list[dict[str, Any]]:
    """Returns the turns of a scenario, each with what was ``asked`` and ``answered``."""
    turns: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())
    return turns


def answers_of(name: str) -> list[Behaviour]:
    """Returns what the model has answered, to be played again."""
    return [Behaviour(body=json.dumps(turn["answered"])) for turn in turns_of(name)]


async def play(name: str, models: ModelServer, address: str, task_queue: str) -> End:
    """Runs the task of a scenario on a server, with whatever `models` answers."""
    os.environ.update(models.environment)
    plugin = CounterstepPlugin([desk, inn], inline_specs=True)
    client = await Client.connect(address, plugins=[plugin])
    async with Worker(client, task_queue=task_queue):
        return await Tasks(client, task_queue).run(SCENARIOS[name])


async def _record(name: str, url: str) -> None:
    turns: list[dict[str, Any]] = []

    def relay(body: dict[str, Any]) -> Behaviour:
        request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=600) as response:
            answered = json.loads(response.read())
        answered = {key: answered[key] for key in ("id", "object", "created", "model", "choices", "usage")}
        turns.append({"asked": body, "answered": {**answered, "model": body["model"]}})
        return Behaviour(body=json.dumps(answered))

    with tempfile.TemporaryDirectory() as folder, ModelServer.in_thread() as models:
        models.default = relay
        os.environ[VARIABLE] = f"{folder}/desk.sqlite"
        effects = Desk(Path(os.environ[VARIABLE]))
        with temporal_server() as server:
            end = await play(name, models, server.address, name)
        sys.stdout.write(f"{name}: {end.type}, {end.output}, {effects.effects()}\n")
    (FOLDER / f"{name}.json").write_text(json.dumps(turns, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    asyncio.run(_record(*sys.argv[1:]))
