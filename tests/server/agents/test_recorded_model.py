"""The recorded answers of a small model drive the same tasks again, to the same end."""

from __future__ import annotations

import json

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.models.recorded import answers_of, play, turns_of


@pytest.mark.parametrize(("name", "ends"), [("booked", "completed"), ("undone", "SagaRolledBack")])
async def test_a_task_that_a_small_model_played(
    server: EmbeddedServer,
    task_queue: str,
    effects: Desk,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    ends: str,
) -> None:
    async with ModelServer() as models:
        for variable, value in models.environment.items():
            monkeypatch.setenv(variable, value)
        models.reply(*answers_of(name))
        end = await play(name, models, server.address, task_queue)
        sent = [request.body for request in models.requests]
    assert end.type == ends
    assert effects.what("done") == ["Harbour"]
    assert list(effects.effects()) == (["Harbour"] if ends == "completed" else [])
    assert end.output == ({"book": {"hotel": "Harbour", "total": 240}} if ends == "completed" else None)
    asked = [turn["asked"] for turn in turns_of(name)]
    assert [body["messages"] for body in sent] == [body["messages"] for body in asked], (
        "the prompts are those that the model has seen; where they have changed, record it again"
    )
    assert json.dumps(sent[-1]["tools"]) == json.dumps(asked[-1]["tools"])
