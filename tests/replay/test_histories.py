"""G12: what any version has recorded replays on this one, so that tasks under way survive an upgrade."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from counterstep.saga.calls import caller
from counterstep.saga.calls.call import Call
from counterstep.saga.calls.rollback import Rollback
from counterstep.saga.children import child_caller
from counterstep.saga.ledger.ledger import Ledger
from counterstep.saga.record.status import Status
from counterstep.tests.support.histories import histories, recording
from counterstep.tests.support.histories.replay import replayer_of
from counterstep.tests.support.histories.sent import Listener, holds, sent_in
from counterstep.tests.support.scenes.scene import OPEN, SCENES, Scene
from counterstep.tests.support.scenes.stage import WORKFLOWS
from counterstep.tests.support.workflows.own_workflows import VersionOne

FILES = histories.files()

CLOSED_AS = {
    "completed": EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
    "cancelled": EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
}

MOST_BYTES = 3_600_000
"""What one version's histories may take in the repository."""


@pytest.fixture(scope="module")
def replayer() -> Replayer:
    return replayer_of(*WORKFLOWS)


@pytest.mark.parametrize("file", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_a_recorded_history_replays(replayer: Replayer, file: Path) -> None:
    await replay(replayer, histories.read(file))


async def replay(replayer: Replayer, history: WorkflowHistory) -> None:
    """Replays a history; whatever it sends, it sends with the keys and arguments of then."""
    Listener.heard.clear()
    await replayer.replay_workflow(history)
    recorded = sent_in(history)
    heard = Listener.heard[: len(recorded)]  # of a run that was terminated the last ones were never sent
    assert [call.name for call in heard] == [call.name for call in recorded]
    for then, now in zip(recorded, heard, strict=True):
        assert holds(then.header, now.header), (then, now)
        assert holds(then.arguments, now.arguments), (then, now)


# --- what is recorded


@pytest.mark.parametrize("scene", SCENES.values(), ids=lambda scene: scene.name)
def test_every_outcome_is_recorded(scene: Scene) -> None:
    folders = [folder for folder in histories.HISTORIES.iterdir() if histories.files_of(folder, scene.name)]
    assert folders, f"record it: make histories ARGS={scene.name}"
    for folder in folders:
        last = last_event(scene, folder)
        assert outcome_of(last) == (None if scene.ends == OPEN else CLOSED_AS.get(scene.ends, scene.ends))


def last_event(scene: Scene, folder: Path) -> HistoryEvent:
    """The last event of a scene's workflow, in the last of its runs."""
    found = [histories.read(file) for file in histories.files_of(folder, scene.name)]
    return [history for history in found if history.workflow_id == found[0].workflow_id][-1].events[-1]


def outcome_of(event: HistoryEvent) -> Any:
    """How an event has closed a workflow: its type, or that of the failure; None where it has not."""
    failure = event.workflow_execution_failed_event_attributes.failure
    if failure.HasField("application_failure_info"):
        return failure.application_failure_info.type
    return event.event_type if event.event_type in CLOSED_AS.values() else None


def test_every_way_to_close_a_run_is_recorded() -> None:
    closed = {EventType.Name(histories.read(file).events[-1].event_type) for file in FILES}
    ways = ("COMPLETED", "FAILED", "CANCELED", "TERMINATED", "CONTINUED_AS_NEW")
    assert closed >= {f"EVENT_TYPE_WORKFLOW_EXECUTION_{way}" for way in ways}


def test_nothing_of_the_machine_is_kept() -> None:
    names = (
        rf"\b{socket.gethostname()}\b",
        r"/[\w.-]+/[\w./-]+\.py\b",
        r"\d@[\w.-]",
        r'"identity"',
        r'"stackTrace"',
    )
    text = "\n".join(file.read_text() for file in FILES)
    for name in names:
        found = re.search(name, text)
        assert not found, text[found.start() - 100 : found.end() + 100]


def test_the_histories_of_a_version_are_small() -> None:
    for folder in histories.HISTORIES.iterdir():
        assert sum(file.stat().st_size for file in folder.iterdir()) < MOST_BYTES


# --- a change that breaks tasks under way is noticed


def another_activity_id(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Call, "id", property(lambda call: f"{call.path}:{call.round}"))


def one_more_timer(patch: pytest.MonkeyPatch) -> None:
    run = Rollback.run

    async def rested(self: Rollback, *args: Any, **options: Any) -> bool:
        await workflow.sleep(timedelta(seconds=1))
        return await run(self, *args, **options)

    patch.setattr(Rollback, "run", rested)


def another_order_of_undos(patch: pytest.MonkeyPatch) -> None:
    ready = Ledger.ready
    patch.setattr(Ledger, "ready", lambda self, **options: ready(self, **options)[::-1])


def one_search_attribute_less(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Status, "begin", lambda self: None)


@pytest.mark.parametrize(
    "change",
    [another_activity_id, one_more_timer, another_order_of_undos, one_search_attribute_less],
    ids=lambda change: change.__name__,
)
async def test_a_change_of_the_engine_is_noticed(
    replayer: Replayer, monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    file = histories.files_of(FILES[-1].parent, "rolled_back_side_by_side")[0]
    await replayer.replay_workflow(histories.read(file))
    change(monkeypatch)
    with pytest.raises(workflow.NondeterminismError):
        await replayer.replay_workflow(histories.read(file))


@pytest.mark.parametrize("scene", ["rolled_back_at_3", "saga_rolled_back", "nested"])
async def test_another_idempotency_key_is_noticed(
    replayer: Replayer, monkeypatch: pytest.MonkeyPatch, scene: str
) -> None:
    (file, *_) = histories.files_of(FILES[-1].parent, scene)
    await replay(replayer, histories.read(file))
    for module in (caller, child_caller):
        monkeypatch.setattr(module, "idempotency_key", lambda *parts: "another")
    with pytest.raises(AssertionError):
        await replay(replayer, histories.read(file))


async def test_a_change_of_a_workflow_of_ones_own_is_noticed() -> None:
    file = histories.files_of(FILES[-1].parent, "saga")[0]
    document = file.read_text().replace('"FiveSteps"', '"Versioned"')
    with pytest.raises(workflow.NondeterminismError):
        await replayer_of(VersionOne).replay_workflow(histories.parse(document))


# --- the recorder


def test_what_is_recorded_stays_unless_it_is_asked_for(tmp_path: Path) -> None:
    for name in SCENES.keys() - {"nested", "continued"}:
        (tmp_path / f"{name}.json").touch()
    assert [scene.name for scene in recording.chosen([], tmp_path)] == ["nested", "continued"]
    assert [scene.name for scene in recording.chosen(["saga"], tmp_path)] == ["saga"]
    assert recording.chosen(["--all"], tmp_path) == list(SCENES.values())
    with pytest.raises(SystemExit):
        recording.chosen(["sagga"], tmp_path)


@pytest.mark.parametrize(
    "data", ['{"a":1}', '{"a": 1}', '{"json":[1.0,null]}', '"ä"', "no JSON", '{"a":1,"a":2}']
)
def test_payloads_come_back_as_they_were(tmp_path: Path, data: str) -> None:
    payload = Payload(metadata={"encoding": b"json/plain"}, data=data.encode())
    event = HistoryEvent(event_id=1)
    event.workflow_execution_signaled_event_attributes.input.payloads.append(payload)
    event.workflow_execution_signaled_event_attributes.identity = "1@host"
    histories.write(tmp_path, "x", [WorkflowHistory("id of x", [event])])
    (found,) = histories.read(tmp_path / "x.json").events
    assert found.workflow_execution_signaled_event_attributes.input.payloads[0] == payload
    assert not found.workflow_execution_signaled_event_attributes.identity
    assert json.loads((tmp_path / "x.json").read_text())["workflowId"] == "id of x"
