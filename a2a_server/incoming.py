"""Reads what a message asks for: a task and its input, or the answer to a question."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import ContentTypeNotSupportedError, InvalidParamsError
from google.protobuf.json_format import MessageToDict
from pydantic import BaseModel, ConfigDict, ValidationError

from ..saga.json_value import with_integers
from ..saga.names import nearest
from ..saga.spec.task_spec import TaskSpec

_TASK: Final = "task"


class SaidAnswer(BaseModel):
    """What a message says to a question.

    Attributes:
        action: One of the question's actions.
        value: What the action needs beside its name.
        note: The reason.
        hash: Of what was shown.
        step: Which question, if there are several.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    action: str
    value: Any = None
    note: str = ""
    hash: str | None = None
    step: str | None = None


def asked_task(
    message: pb.Message, metadata: Mapping[str, Any], tasks: Mapping[str, TaskSpec]
) -> tuple[str, Any]:
    """Returns which task a message asks for, and the input.

    The task is named by the metadata's ``task``, by a data part ``{"task": ..., "input": ...}``, or not at
    all where only one is served.

    Args:
        message: The message.
        metadata: That of the request.
        tasks: The tasks that are served.

    Raises:
        InvalidParamsError: It names no task that is served, or has not one part with its input.
        ContentTypeNotSupportedError: It has files, which tasks do not take.
    """
    said = _content(message)
    name = _metadata(message, metadata).get(_TASK)
    if name is None and isinstance(said, dict) and isinstance(said.get(_TASK), str):
        names_it = set(said) <= {_TASK, "input"}
        if names_it and (said[_TASK] in tasks or len(tasks) > 1):
            name, said = said[_TASK], said.get("input", {})
    if name is None and len(tasks) == 1:
        name = next(iter(tasks))
    if name is None:
        known = ", ".join(sorted(tasks))
        raise InvalidParamsError(f"name the task in the metadata of the message (`task`), one of: {known}")
    if not isinstance(name, str):
        raise InvalidParamsError("the `task` in the metadata is the name of a task, and so a text")
    if name not in tasks:
        raise InvalidParamsError(f"there is no task {name!r}{nearest(name, tasks)}")
    return name, _from_text(said, tasks[name]) if isinstance(said, str) else said


def answered(message: pb.Message, metadata: Mapping[str, Any]) -> SaidAnswer:
    """Returns what a message says to a question: a data part ``{"action": ...}``, or an action as text.

    Raises:
        InvalidParamsError: It does not say an action.
    """
    said = _content(message)
    known = _metadata(message, metadata)
    if isinstance(said, str):
        more = {name: known[name] for name in ("hash", "step", "note") if name in known}
        said = {"action": said.strip(), **more}
    try:
        return SaidAnswer.model_validate(said)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        takes = "an answer is a data part with action, and where needed value, note, hash and step"
        raise InvalidParamsError(f"{takes} ({faults})") from None


def as_json(message: Any) -> dict[str, Any]:
    """Returns a structure of protocol buffers as JSON."""
    return dict(_read(message))


def _read(message: Any) -> Any:
    try:
        return with_integers(MessageToDict(message))
    except ValueError:
        raise InvalidParamsError("a message is JSON, which has neither NaN nor Infinity") from None


def _metadata(message: pb.Message, metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {**metadata, **as_json(message.metadata)}


def _content(message: pb.Message) -> Any:
    """Returns the data of a message, or its text."""
    kinds = [part.WhichOneof("content") for part in message.parts]
    if set(kinds) - {"data", "text"}:
        raise ContentTypeNotSupportedError("tasks take data and text, not files")
    data = [part for part in message.parts if part.HasField("data")]
    if len(data) == 1:
        return _read(data[0].data)
    text = "\n".join(part.text for part in message.parts if part.HasField("text"))
    if data or not text.strip():
        raise InvalidParamsError(
            f"a message needs one data part, or text; this one has {len(data)} data parts"
        )
    return text


def _from_text(text: str, spec: TaskSpec) -> Any:
    """Returns a text as the input of a task: as JSON, or as the one text that the task needs."""
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if isinstance(said, dict):
        return said
    schema = spec.input or {}
    needed = schema.get("required", [])
    kind = schema.get("properties", {}).get(needed[0], {}).get("type") if len(needed) == 1 else None
    if kind == "string":
        return {needed[0]: text}
    raise InvalidParamsError(f"{spec.name} takes its input as a data part, which is JSON")
