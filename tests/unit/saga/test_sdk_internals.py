"""What is read of the SDK's private parts is what the SDK means by it; a new SDK that differs fails here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RawValue
from temporalio.worker._workflow import _RunningWorkflow, _WorkflowWorker
from temporalio.worker._workflow_instance import _WorkflowInstanceImpl

from counterstep.saga.temporal.sdk_internals import (
    activated_workflow,
    activity_type,
    is_activity,
    is_dynamic_activity,
    is_dynamic_workflow,
    is_workflow,
    with_argument_types,
    workflow_type,
)


@workflow.defn(name="shop.order")
class Order:
    @workflow.run
    async def run(self, first: str, *more: str) -> None: ...


@workflow.defn(dynamic=True)
class Anything:
    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> None: ...


class Heir(Order):
    """Has no decorator of its own."""


@activity.defn(name="shop.reserve")
async def reserve(what: str) -> None: ...


@activity.defn(dynamic=True)
async def anything(args: Sequence[RawValue]) -> None: ...


def test_workflows() -> None:
    assert [is_workflow(thing) for thing in (Order, Anything, Heir, str, "Order")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert [workflow_type(cls) for cls in (Order, Anything, Heir, str)] == ["shop.order", None, None, None]
    assert [is_dynamic_workflow(cls) for cls in (Order, Anything, Heir, str)] == [False, True, False, False]


def test_activities() -> None:
    assert [is_activity(thing) for thing in (reserve, anything, print, 7)] == [True, True, False, False]
    assert [activity_type(function) for function in (reserve, anything, print)] == [
        "shop.reserve",
        None,
        None,
    ]
    assert [is_dynamic_activity(function) for function in (reserve, anything, print)] == [False, True, False]


def test_the_types_of_arguments_are_those_that_the_sdk_decodes_with() -> None:
    definition = workflow._Definition.must_from_class(Order)
    assert definition.arg_types is None, "the SDK gives up where there are any number of arguments"
    with_argument_types(Order, [RawValue])
    assert workflow._Definition.must_from_class(Order).arg_types == [RawValue]


def test_an_answer_to_patched_is_kept_where_it_is_written_by_us() -> None:
    assert "_patches_memoized" in _WorkflowInstanceImpl.workflow_patch.__code__.co_names
    assert workflow._Runtime.current.__name__ == "current"


def test_what_a_worker_calls_to_activate_a_workflow_names_the_workflow() -> None:
    instance: Any = object()
    assert activated_workflow(_RunningWorkflow(instance, "order-1").activate) is instance
    assert [activated_workflow(function) for function in (print, "x".join, Order().run)] == [None, None, None]
    submits = _WorkflowWorker._handle_activation.__code__.co_names
    assert {"run_in_executor", "_workflow_task_executor", "activate"} <= set(submits)
