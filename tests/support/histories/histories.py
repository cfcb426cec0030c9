"""Recorded histories: where they are kept, and what of the machine that recorded them is not.

A file is Temporal's JSON with the workflow's id, and one difference: a payload of JSON stands there as what
it is, ``{"json": ...}``, and not in base64. So it can be read, and is smaller.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from temporalio.api.history.v1 import History
from temporalio.client import WorkflowHistory

HISTORIES = Path(__file__).parents[2] / "histories"
"""One folder a minor version, with what that version has recorded."""

_JSON = {"encoding": base64.b64encode(b"json/plain").decode()}

_OF_THE_MACHINE = frozenset({"identity", "stack_trace", "worker_version", "request_id", "task_id"})
"""Fields that name processes and files, or count what else the server did; no replay reads them."""

_MOSTLY_EMPTY = frozenset(
    {
        "metering_metadata",
        "priority",
        "schedule_to_close_timeout",
        "schedule_to_start_timeout",
        "sdk_metadata",
    }
)
"""Fields that say nothing where they are empty; there are thousands of them."""


def folder_of_this_version() -> Path:
    """Where this version records."""
    return HISTORIES / version("counterstep").rpartition(".")[0]


def files() -> list[Path]:
    """All recorded histories, of all versions."""
    return sorted(HISTORIES.glob("*/*.json"))


def files_of(folder: Path, scene: str) -> list[Path]:
    """What a scene has left in a folder, its own workflow first: ``NAME.json``, ``NAME.2.json``, ..."""
    others = folder.glob(f"{scene}.*.json")
    numbered = sorted(others, key=lambda path: int(path.name.split(".")[-2]))
    return [path for path in (folder / f"{scene}.json", *numbered) if path.exists()]


def read(path: Path) -> WorkflowHistory:
    """Reads one."""
    return parse(path.read_text())


def parse(text: str) -> WorkflowHistory:
    """Reads one from its file's text."""
    document = json.loads(text)
    return WorkflowHistory.from_json(document["workflowId"], {"events": _unfolded(document["events"])})


def write(folder: Path, scene: str, histories: list[WorkflowHistory]) -> None:
    """Keeps the histories of a scene, in the place of what was there."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in files_of(folder, scene):
        path.unlink()
    for number, history in enumerate(histories, start=1):
        name = f"{scene}.json" if number == 1 else f"{scene}.{number}.json"
        (folder / name).write_text(_text(history))


def _text(history: WorkflowHistory) -> str:
    scrubbed = WorkflowHistory(history.workflow_id, _scrubbed(history))
    events = ",\n".join(_compact(_folded(event)) for event in scrubbed.to_json_dict()["events"])
    return f'{{"workflowId":{_compact(history.workflow_id)},"events":[\n{events}\n]}}\n'


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _folded(value: Any) -> Any:
    if isinstance(value, list):
        return [_folded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("metadata") == _JSON and value.keys() == {"metadata", "data"}:
        data = base64.b64decode(value["data"]).decode()
        with suppress(ValueError):
            content = json.loads(data)
            if _compact(content) == data:
                return {"json": content}
    return {key: _folded(item) for key, item in value.items()}


def _unfolded(value: Any) -> Any:
    if isinstance(value, list):
        return [_unfolded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"json"}:
        return {"metadata": _JSON, "data": base64.b64encode(_compact(value["json"]).encode()).decode()}
    return {key: _unfolded(item) for key, item in value.items()}


def _scrubbed(history: WorkflowHistory) -> list[Any]:
    copy = History(events=history.events)
    _scrub(copy)
    for event in copy.events:
        if event.HasField("workflow_task_scheduled_event_attributes"):
            event.workflow_task_scheduled_event_attributes.ClearField("task_queue")  # a worker's own
    return list(copy.events)


def _scrub(message: Message) -> None:
    for field, value in message.ListFields():
        if field.name in _OF_THE_MACHINE or (field.name in _MOSTLY_EMPTY and not value.ByteSize()):
            message.ClearField(field.name)
        elif field.type != field.TYPE_MESSAGE:
            continue
        elif isinstance(value, Message):
            _scrub(value)
        else:
            for item in value.values() if hasattr(value, "values") else value:
                if isinstance(item, Message):
                    _scrub(item)
