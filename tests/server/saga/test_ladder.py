"""A step that has failed is undone, and what its ladder says is tried, rung by rung, with reasons."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.testing.explore import explore
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles import banquet
from counterstep.tests.support.bundles.agents import Happened, board_of, step, team_at_work
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked

Team = tuple[Tasks, ModelServer]
ONCE = {"attempts": 1}


@pytest.fixture
async def team(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Team]:
    async with team_at_work(server.address, task_queue, monkeypatch) as team:
        yield team


def think(name: str, **keys: Any) -> dict[str, Any]:
    return {"id": name, "agent": "desk.thinker", "retry": ONCE, **keys}


async def test_each_rung_is_tried_when_the_one_before_is_undone(team: Team, effects: Desk) -> None:
    tasks, models = team
    for model, what in (("clerk", "cup"), ("other", "pen"), ("helper", "jar")):
        models.for_model(model).reply(Behaviour.calls(call("put", what=what)), Behaviour.error(400))
    ladder = [{"model": "openai/other"}, {"fallback": "team.helper"}, {"rule": "desk.look"}, "skip"]
    handle = await tasks.start([step("clerk", "desk", on_failure=ladder)])
    end = await end_of(handle)
    assert end.output == {"clerk": {"what": "desk", "count": 4}}
    happened = [(event.action, event.what) for event in effects.events("done", "undone", "look")]
    assert happened == [
        ("done", "cup"),
        ("undone", "cup"),
        ("done", "pen"),
        ("undone", "pen"),
        ("done", "jar"),
        ("undone", "jar"),
        ("look", "desk"),
    ]
    assert effects.effects() == {}
    assert [request.body["model"] for request in models.requests] == ["clerk"] * 2 + ["other"] * 2 + [
        "helper"
    ] * 2
    history = await Happened.in_(handle)
    assert history.types["clerk#4"] == "desk.look", "each rung is a round of its own"
    assert history.headers["clerk#4"].get("compensation") is None, "what only reads is not undone"
    board = await board_of(handle)
    rungs = [told for told in board["decided"] if told["kind"] == "rung"]
    assert [told["what"] for told in rungs] == [
        "goes on with the model openai/other",
        "falls back to team.helper",
        "is answered by the rule desk.look",
    ]
    assert all("400" in told["reason"] for told in rungs)
    assert board["steps"]["clerk"]["attempts"] == 4
    assert board["steps"]["clerk"]["degraded"] == end.details["degraded"]["clerk"]
    assert end.details["degraded"]["clerk"].startswith(
        "is answered by the rule desk.look: step 'clerk' failed"
    )


async def test_a_ladder_goes_on_whatever_fails_next_and_ends_with_a_rollback(
    tasks: Tasks, effects: Desk
) -> None:
    first = {"id": "a", "tool": "desk.put", "input": {"what": "a"}}
    ladder = [{"fallback": "desk.second_thinker"}, {"rule": "desk.thinker"}]
    broken = think(
        "b",
        needs=["a"],
        input={"text": "x", "fail": "yes"},
        validate=[{"rule": "output.text != 'second x'"}],
        on_failure=ladder,
        on_reject="skip",
    )
    end = await tasks.run([first, broken])
    assert end.type == "SagaRolledBack"
    assert effects.what("think") == ["x", "second x", "x"], "a rejected rung is followed by the next one"
    assert effects.what("undone") == ["a"]


async def test_items_go_down_by_themselves_and_what_went_well_is_not_degraded(
    tasks: Tasks, effects: Desk
) -> None:
    each = think(
        "each",
        for_each="['fine', 'bad']",
        input={"text": "${{ item }}", "fail": "${{ item == 'bad' ? 'yes' : '' }}"},
        on_failure=[{"rule": "desk.thinker"}, "skip"],
    )
    fine = think("fine", input={"text": "fine"}, on_failure=[{"fallback": "desk.second_thinker"}])
    end = await tasks.run([each, fine])
    assert end.output["each"] == [{"text": "fine", "score": 0.5}, None]
    assert list(end.details["degraded"]) == ["each"]
    assert end.details["degraded"]["each"].startswith(
        "[1]: skipped after a failure: step 'each' failed: Final"
    )


async def test_going_back_is_the_last_rung_and_what_a_person_decides_is_not_degraded(
    tasks: Tasks, effects: Desk
) -> None:
    again = {"retry_from": "a", "then": [{"rule": "desk.thinker"}, "escalate"]}
    steps = [
        think("a", input={"text": "a"}),
        think(
            "b",
            needs=["a"],
            input={"text": "b", "fail": "yes"},
            on_failure=[{"fallback": "desk.thinker"}, again],
        ),
    ]
    handle = await tasks.start(steps)
    await until_asked(handle, "b")
    assert effects.what("think") == ["a", "b", "b", "a", "b", "b", "b"]
    await tell(handle, "decide", step="b", action="retry")
    await until_asked(handle, "b")
    assert effects.what("think")[7:] == ["b", "b", "b"], "a person's retry begins the ladder again"
    await tell(handle, "decide", step="b", action="supply", value={"text": "mine", "score": 1})
    end = await end_of(handle)
    assert end.output["b"] == {"text": "mine", "score": 1}
    assert "degraded" not in end.details
    assert [d["what"] for d in (await board_of(handle))["decided"] if d["kind"] == "rung"][-1] == (
        "a person is asked"
    )


@pytest.mark.slow
async def test_every_cell_of_a_task_with_a_ladder_is_green(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(banquet.VARIABLE, str(tmp_path / "banquet.sqlite"))
    drinks = {
        "id": "drinks",
        "agent": "banquet.steward",
        "input": {"what": "drinks"},
        "needs": ["hall"],
        "on_failure": [{"model": "openai/paid"}, {"rule": "banquet.price"}, "skip"],
    }
    hall = {"id": "hall", "tool": "banquet.order", "input": {"what": "hall"}}
    report = await explore(
        {"name": "evening", "steps": [hall, drinks]},
        bundles=["counterstep.tests.support.bundles.banquet:banquet"],
        effects="counterstep.tests.support.bundles.banquet:standing",
        shrink=False,
    )
    assert report.ok, report.text()
    states = {cell.label: cell.state for cell in report.cells}
    assert states["drinks/model.1#1 fail before"] == "completed", "another rung has done it"
    assert states["hall#1 fail before"] == "rolled_back"
