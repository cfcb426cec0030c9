"""Decodes the few payloads of histories that a recovery needs, with the data converter that wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_jsonable_python
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.common import RawValue
from temporalio.converter import ActivitySerializationContext, DataConverter, WorkflowSerializationContext

from ..saga.children.handover import read_handover
from ..saga.history_format import LONG_CONVERSATION, RECOVER_CHILD, RETRACT
from ..saga.ledger.call_id import CallId
from ..saga.ledger.carry_over import CarriedEntry, restore
from ..saga.ledger.effect_to_undo import EffectToUndo
from ..saga.ledger.ledger import Entry
from .outstanding import DecodedResolution, OutstandingEffect
from .recorded_call import CarriedOver, RecordedCall
from .recorded_effect import RecordedEffect
from .run_history import RunHistory


class PayloadReader:
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

    async def decode(self, history: RunHistory) -> None:
        """Decodes what decides: errors, what children have handed over, and what a run was given."""
        await self._decode_errors(history)
        for child in history.children.values():
            if child.result is not None:
                value = await self._try(child.workflow_id, [child.result])
                child.handed = None if value is None else read_handover(value[0])
        if history.arguments:
            arguments = await self._try(history.workflow_id, history.arguments)
            if arguments is not None and _is_carried(arguments[0]):
                history.carried, history.is_ours = _carried(arguments), True
            elif arguments is not None:
                history.continues = ""  # by a workflow of its own, which has carried nothing of ours

    async def _try(self, workflow_id: str, payloads: Sequence[Payload]) -> list[Any] | None:
        """Decodes what a workflow was given, or has returned."""
        context = WorkflowSerializationContext(self._namespace, workflow_id)
        try:
            return await self._converter.with_context(context).decode(payloads)
        except Exception:
            if self._strict:
                raise
            return None

    async def _decode_errors(self, history: RunHistory) -> None:
        for call in history.failed():
            failure = Failure()
            failure.CopyFrom(call.failure or failure)  # decoding changes it
            try:
                call.error = await self._of(history, call).decode_failure(failure)
            except Exception:
                if self._strict:
                    raise

    async def resolved(self, history: RunHistory) -> list[DecodedResolution]:
        """Reads what people have said about a run."""
        found = []
        for resolution in history.resolutions:
            values = await self._try(history.workflow_id, [resolution.answer])
            if values is None:
                continue
            answer = values[0]
            undos = frozenset(answer.get("undos", ()))
            found.append(DecodedResolution(resolution.at, answer["action"], answer["step"], undos))
        return found

    async def is_sequential(self, history: RunHistory) -> bool:
        """Says whether the undos of a run go strictly one by one; of a saga in a workflow nobody knows."""
        if history.carried is not None:
            return history.carried.sequential
        return _is_sequential(await self.spec(history))

    async def spec(self, history: RunHistory) -> Mapping[str, Any] | None:
        """Returns the spec that a run has settled first; None where it has none, or has settled nothing."""
        if history.snapshot is None:
            return None
        context = ActivitySerializationContext(
            self._namespace, "resolve", None, history.task_queue, history.workflow_id, None, is_local=True
        )
        snapshot = await _value(self._converter.with_context(context), history.snapshot)
        spec: Mapping[str, Any] | None = snapshot.get("spec")
        return spec

    async def recovered(self, left: OutstandingEffect) -> EffectToUndo:
        """Reads all that an undo needs to be told."""
        newest, known = left.newest, left.known
        assert newest.compensation is not None
        if newest.entry is not None:
            return _given(left, newest.entry)
        call = newest.calls[0]
        request = [await self._value(newest.history, call, payload) for payload in call.input]
        output = None
        if known is not None and known.calls[-1].result is not None:
            output = await self._output(known)
        before = None
        if left.before is not None and left.before.result is not None:
            before = await self._value(newest.history, left.before, left.before.result)
        return EffectToUndo(
            id=left.id,
            step=left.step,
            compensation=newest.compensation,
            key=newest.key,
            input=_asked(request[0]) if newest.is_agent else _named(call, request),
            before=before,
            output=output,
            task_queue=None if call.task_queue == newest.history.task_queue else call.task_queue,
            action=request[0]["agent"] if newest.is_agent else call.activity,
            kind="agent" if newest.is_agent else "tool",
            is_known=known is not None,
            started=left.started,
            started_last=newest.scheduled,
            ended=left.ended,
            may_land_until=left.may_land_until,
        )

    async def _output(self, effect: RecordedEffect) -> Any:
        history, call = effect.history, effect.calls[-1]
        assert call.result is not None
        raw = await self._raw(history, call, call.result)
        try:
            value = self._of(history, call).payload_converter.from_payload(raw)
        except Exception:
            return None  # nor could the workflow read it
        if not effect.is_agent:
            return value
        moved = history.children.get(str(CallId.parse(effect.id).within(LONG_CONVERSATION)))
        if moved is not None and moved.handed is not None:
            return moved.handed.result["output"]
        return None if value.get("tool_calls") or value.get("invalid") else value.get("output")

    async def _value(self, history: RunHistory, call: RecordedCall, payload: Payload) -> Any:
        return await _value(self._of(history, call), payload)

    async def _raw(self, history: RunHistory, call: RecordedCall, payload: Payload) -> Payload:
        """Decrypts and fetches, but does not convert."""
        values = await self._of(history, call).decode([payload], [RawValue])
        raw: RawValue = values[0]
        return raw.payload

    def _of(self, history: RunHistory, call: RecordedCall) -> DataConverter:
        return self._converter.with_context(
            ActivitySerializationContext(
                self._namespace,
                call.id,
                call.activity,
                call.task_queue,
                history.workflow_id,
                None,
                is_local=False,
            )
        )


async def _value(converter: DataConverter, payload: Payload) -> Any:
    return (await converter.decode([payload]))[0]


def _named(call: RecordedCall, arguments: list[Any]) -> dict[str, Any]:
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


def _given(left: OutstandingEffect, entry: Entry) -> EffectToUndo:
    """Says of what was handed on, or of a child, what an undo needs to be told."""
    effect = left.newest
    child = effect.history.children.get(effect.origin or effect.id)
    kinds = {RETRACT: "agent", RECOVER_CHILD: "workflow"}
    return EffectToUndo(
        id=entry.id,
        step=entry.step,
        compensation=entry.compensation,
        key=entry.key,
        input=entry.input,
        before=entry.before,
        output=entry.output,
        task_queue=entry.task_queue,
        action="" if child is None else child.workflow,
        kind="workflow" if child is not None else kinds.get(entry.compensation, "tool"),
        is_known=left.known is not None,
        started=left.started,
        started_last=effect.scheduled,
        ended=left.ended,
        may_land_until=left.may_land_until,
        origin=effect.origin,
        depends_on=tuple(sorted(entry.depends_on)),
    )


def _is_carried(argument: Any) -> bool:
    """Says whether a continued run was given its ledger: by a task, or by a conversation."""
    if not isinstance(argument, list) or not argument or not isinstance(argument[0], Mapping):
        return False
    return "snapshot" in argument[0] or "carried" in argument[0]


def _carried(arguments: Sequence[Any]) -> CarriedOver:
    """Reads what decides, and nothing of what only the code that ran would understand."""
    first = arguments[0][0]
    pages = [first.get("entries", []), *(page for page in arguments[1:] if isinstance(page, list))]
    entries = restore(CarriedEntry.model_validate(item) for page in pages for item in page)
    snapshot = first.get("snapshot")
    sequential = first.get("sequential", False) if snapshot is None else _is_sequential(snapshot.get("spec"))
    return CarriedOver(tuple(entries), first.get("committed", False), sequential)


def _is_sequential(spec: Mapping[str, Any] | None) -> bool:
    return spec is None or spec.get("compensation", {}).get("order") == "sequential"
