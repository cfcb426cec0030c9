"""G1 at width: the undos of a layer run side by side, and strictly one by one on request."""

from __future__ import annotations

from typing import Any

from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.histories.history import events_of
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.tasks.work import put

DEPTH, WIDTH = 4, 5
LAYERS = [[f"s{layer}_{place}" for place in range(WIDTH)] for layer in range(DEPTH)]


def graph(**arguments: Any) -> list[dict[str, Any]]:
    """Four layers of five; each step needs all steps of the layer before, and the one at the end fails."""
    steps: list[dict[str, Any]] = []
    before: list[str] = []
    for layer in LAYERS:
        steps += [put(id_, *before, **arguments) for id_ in layer]
        before = layer
    return [*steps, put("end", *before, fail="not_applied")]


async def test_all_undos_of_a_layer_run_at_once_and_those_of_the_next_wait(
    tasks: Tasks, effects: Desk
) -> None:
    handle = await tasks.start(graph(undo_delay=HELD))
    for layer in reversed(LAYERS):
        for what in layer:
            await effects.until("undo", what)
        *held, last = layer
        effects.release(*(f"undo {what}" for what in held))
        for what in held:
            await effects.until("undone", what)
        begun = set(effects.what("undo"))
        assert begun == {what for each in LAYERS[LAYERS.index(layer) :] for what in each}
        effects.release(f"undo {last}")
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert effects.effects() == {}
    assert len(end.details["undone"]) == DEPTH * WIDTH


async def test_on_request_twenty_undos_run_one_by_one_newest_first(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(graph(), compensation={"order": "sequential"})
    end = await end_of(handle)
    started = [
        event.activity_task_scheduled_event_attributes.activity_id.removesuffix("#1")
        for event in await events_of(handle)
        if event.HasField("activity_task_scheduled_event_attributes")
    ][: DEPTH * WIDTH]
    assert end.details["undone"] == started[::-1]
    happened = [(event.action, event.what) for event in effects.events("undo", "undone")]
    assert happened == [(action, what) for what in started[::-1] for action in ("undo", "undone")]
