"""Decodes the few payloads of histories that a recovery needs, with the data converter that wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_jsonable_python
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.common import RawValue
from temporalio.converter import ActivitySerializationContext, DataConverter, WorkflowSerializationContext

from ..saga.leftover import Leftover, Resolved
from ..saga.recovered import Recovered
from ..saga.trail import Recorded, Trail


class HistoryReader:
    """Reads with one data converter: the worker's, which has the keys, or a client's, which may have none."""

    def __init__(self, converter: DataConverter, namespace: str, *, strict: bool) -> None:
        """Prepares a reader.

        Args:
            converter: As it was configured.
            namespace: Of the histories.
            strict: Raise where something cannot be decoded; otherwise it counts as telling nothing.
        """
        self._converter = converter
        self._namespace = namespace
        self._strict = strict

    async def decode_errors(self, trail: Trail) -> None:
        """Gives each failed call of a run the error that its workflow saw."""
        for call in trail.failed():
            failure = Failure()
            failure.CopyFrom(call.failure or failure)  # decoding changes it
            try:
                call.error = await self._of(trail, call).decode_failure(failure)
            except Exception:
                if self._strict:
                    raise

    async def resolved(self, trail: Trail) -> list[Resolved]:
        """Reads what people have said about a run."""
        context = WorkflowSerializationContext(self._namespace, trail.workflow_id)
        found = []
        for resolution in trail.resolutions:
            try:
                answer = await _value(self._converter.with_context(context), resolution.answer)
            except Exception:
                if self._strict:
                    raise
                continue
            undos = frozenset(answer.get("undos", ()))
            found.append(Resolved(resolution.at, answer["action"], answer["step"], undos))
        return found

    async def is_sequential(self, trail: Trail) -> bool:
        """Says whether the undos of a run go strictly one by one; of a saga in a workflow nobody knows."""
        if trail.snapshot is None:
            return True
        context = ActivitySerializationContext(
            self._namespace, "resolve", None, trail.task_queue, trail.workflow_id, None, is_local=True
        )
        snapshot = await _value(self._converter.with_context(context), trail.snapshot)
        spec = snapshot.get("spec")
        return spec is None or spec.get("compensation", {}).get("order") == "sequential"

    async def recovered(self, left: Leftover) -> Recovered:
        """Reads all that an undo needs to be told."""
        newest, known = left.newest, left.known
        assert newest.compensation is not None
        call = newest.calls[0]
        request = [await self._value(newest.trail, call, payload) for payload in call.input]
        output = None
        if known is not None and known.calls[-1].result is not None:
            output = await self._output(known.trail, known.calls[-1], is_agent=known.is_agent)
        before = None
        if left.before is not None and left.before.result is not None:
            before = await self._value(newest.trail, left.before, left.before.result)
        return Recovered(
            id=left.id,
            step=left.step,
            compensation=newest.compensation,
            key=newest.key,
            input=_asked(request[0]) if newest.is_agent else _named(call, request),
            before=before,
            output=output,
            task_queue=None if call.task_queue == newest.trail.task_queue else call.task_queue,
            action=request[0]["agent"] if newest.is_agent else call.activity,
            is_agent=newest.is_agent,
            is_known=known is not None,
            started=left.started,
            started_last=newest.scheduled,
            ended=left.ended,
            may_land_until=left.may_land_until,
        )

    async def _output(self, trail: Trail, call: Recorded, *, is_agent: bool) -> Any:
        assert call.result is not None
        raw = await self._raw(trail, call, call.result)
        try:
            value = self._of(trail, call).payload_converter.from_payload(raw)
        except Exception:
            return None  # nor could the workflow read it
        if not is_agent:
            return value
        return None if value.get("tool_calls") or value.get("invalid") else value.get("output")

    async def _value(self, trail: Trail, call: Recorded, payload: Payload) -> Any:
        return await _value(self._of(trail, call), payload)

    async def _raw(self, trail: Trail, call: Recorded, payload: Payload) -> Payload:
        """Decrypts and fetches, but does not convert."""
        values = await self._of(trail, call).decode([payload], [RawValue])
        raw: RawValue = values[0]
        return raw.payload

    def _of(self, trail: Trail, call: Recorded) -> DataConverter:
        return self._converter.with_context(
            ActivitySerializationContext(
                self._namespace,
                call.id,
                call.activity,
                call.task_queue,
                trail.workflow_id,
                None,
                is_local=False,
            )
        )


async def _value(converter: DataConverter, payload: Payload) -> Any:
    return (await converter.decode([payload]))[0]


def _named(call: Recorded, arguments: list[Any]) -> dict[str, Any]:
    """Names the arguments as the undo is to see them."""
    if call.header.names is not None:
        named: dict[str, Any] = to_jsonable_python(dict(zip(call.header.names, arguments, strict=False)))
        return named
    return dict(arguments[0])


def _asked(request: Mapping[str, Any]) -> dict[str, Any]:
    """Finds in an agent's first request what it was asked to do."""
    content = next(message["content"] for message in request["messages"] if message["role"] == "user")
    value = json.loads(content)
    return value if isinstance(value, dict) else {"input": value}
