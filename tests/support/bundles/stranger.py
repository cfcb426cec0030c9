"""What somebody has in a program that knows nothing of Counterstep: all that Temporal lets one have."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import activity, client, worker, workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
)
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from counterstep import Bundle, Effect, Saga, Undo, current_step
    from counterstep.tests.support.bundles.vault import Lock

SECRET = "open sesame"
"""Stands in everything that is said."""

_LIMIT = timedelta(seconds=60)


@dataclasses.dataclass
class Money:
    """Something that only this program can write down."""

    cents: int


class _MoneyConverter(EncodingPayloadConverter):
    @property
    def encoding(self) -> str:
        return "stranger/money"

    def to_payload(self, value: Any) -> Payload | None:
        if not isinstance(value, Money):
            return None
        return Payload(metadata={"encoding": self.encoding.encode()}, data=str(value.cents).encode())

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        return Money(int(payload.data))


class OwnConverter(CompositePayloadConverter):
    """Writes money as nobody else does, and the rest as Temporal does, with pydantic's models."""

    def __init__(self) -> None:
        usual = [
            PydanticJSONPlainPayloadConverter() if isinstance(known, JSONPlainPayloadConverter) else known
            for known in DefaultPayloadConverter().converters.values()
        ]
        super().__init__(_MoneyConverter(), *usual)


def own_data() -> DataConverter:
    """Encrypts; also what failures say."""
    return DataConverter(
        payload_converter_class=OwnConverter,
        payload_codec=Lock(),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


# --- activities, workflows and a bundle


@activity.defn
def count_coins(money: Money, note: str) -> Money:
    """Runs in the executor that the worker was given, and nowhere else."""
    assert threading.current_thread().name.startswith("stranger"), threading.current_thread().name
    return Money(money.cents + 1)


@activity.defn
async def send_note(note: str) -> str:
    return f"sent {note}"


@activity.defn
async def unsend_note(undo: dict[str, Any]) -> None:
    assert undo["output"] == f"sent {SECRET}", undo


@activity.defn(dynamic=True)
async def any_activity(args: Sequence[RawValue]) -> str:
    return f"any {activity.info().activity_type}"


bundle = Bundle("stranger")


@bundle.tool(compensate="give_back")
def take(what: str) -> str:
    return f"{what} for {current_step().step}"


@bundle.compensation
async def give_back(undo: Undo[str]) -> None:
    assert undo.output == f"{SECRET} for take", undo


@bundle.tool(effect=Effect.READ_ONLY)
async def refuse(what: str) -> str:
    raise ApplicationError(f"no {what}", {"why": what}, type="Refused", non_retryable=True)


_STEP = {"id": "take", "tool": "stranger.take", "input": {"what": SECRET}}
bundle.add_task({"name": "taking", "steps": [_STEP]})


@workflow.defn
class Parcel:
    @workflow.run
    async def run(self, money: Money) -> Money:
        assert workflow.unsafe.in_sandbox()
        return await workflow.execute_activity(
            count_coins, args=[money, SECRET], start_to_close_timeout=_LIMIT, summary=SECRET
        )


@workflow.defn
class Order:
    """Uses its own things as ever, and then both kinds inside of a saga, which fails."""

    @workflow.run
    async def run(self, money: Money, fails: bool) -> list[Any]:
        assert workflow.unsafe.in_sandbox()
        workflow.set_current_details(SECRET)
        counted = await workflow.execute_child_workflow(Parcel.run, money)
        said = [await workflow.execute_activity("nobody.has.this", SECRET, start_to_close_timeout=_LIMIT)]
        async with Saga() as saga:
            said.append(await saga.call(take, what=SECRET))
            said.append(await saga.call(send_note, SECRET, undo=unsend_note, start_to_close_timeout=_LIMIT))
            if fails:
                await saga.call(refuse, what=SECRET)
        return [counted.cents, *said]


@workflow.defn(dynamic=True)
class AnyWorkflow:
    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> str:
        return f"any {workflow.info().workflow_type}"


# --- interceptors

Heard = list[tuple[str, str, Any]]


class Listener(client.Interceptor, worker.Interceptor):
    """Writes down what it sees: its own name, where, and what.

    As a worker's interceptor it listens to activities and workflows, as a client's to starts.
    """

    def __init__(self, name: str, heard: Heard) -> None:
        self.name = name
        self.heard = heard

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:
        return _Starts(next, self)

    def intercept_activity(
        self, next: worker.ActivityInboundInterceptor
    ) -> worker.ActivityInboundInterceptor:
        return _Activities(next, self)

    def workflow_interceptor_class(self, input: worker.WorkflowInterceptorClassInput) -> type[Any]:
        listener = self

        class _Workflows(worker.WorkflowInboundInterceptor):
            async def execute_workflow(self, input: worker.ExecuteWorkflowInput) -> Any:
                result = await super().execute_workflow(input)
                if not workflow.unsafe.is_replaying():
                    listener.heard.append((listener.name, workflow.info().workflow_type, result))
                return result

        return _Workflows


class WorkerListener(worker.Interceptor):
    """The same, where only a worker's interceptor will do."""

    def __init__(self, name: str, heard: Heard) -> None:
        listener = Listener(name, heard)
        self.intercept_activity = listener.intercept_activity  # type: ignore[method-assign]
        self.workflow_interceptor_class = listener.workflow_interceptor_class  # type: ignore[method-assign]


class _Starts(client.OutboundInterceptor):
    def __init__(self, next: client.OutboundInterceptor, listener: Listener) -> None:
        super().__init__(next)
        self._listener = listener

    async def start_workflow(self, input: client.StartWorkflowInput) -> client.WorkflowHandle[Any, Any]:
        self._listener.heard.append((self._listener.name, "start", input.workflow))
        return await super().start_workflow(input)


class _Activities(worker.ActivityInboundInterceptor):
    def __init__(self, next: worker.ActivityInboundInterceptor, listener: Listener) -> None:
        super().__init__(next)
        self._listener = listener

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
        type_ = activity.info().activity_type
        with suppress(RuntimeError):
            self._listener.heard.append((self._listener.name, "step", current_step().step))
        try:
            result = await super().execute_activity(input)
        except Exception as error:
            self._listener.heard.append((self._listener.name, type_, error))
            raise
        self._listener.heard.append((self._listener.name, type_, result))
        return result
