"""What every task gets on the workflow side: headers on its calls, and a typed failure for each bug."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import (
    ContinueAsNewInput,
    ExecuteWorkflowInput,
    HandleQueryInput,
    StartActivityInput,
    StartChildWorkflowInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)

from ..saga.calls.headers import CURRENT_HEADER, PARENT, CallHeader
from ..saga.children.handover import hand_over
from ..saga.engine.child_end import TOLD, continued_parent, earlier_runs_spent, tell_spent, undo_completed
from ..saga.engine.opening import current_details
from ..saga.engine.run_context import OPENED, OPENING
from ..saga.events.chain import passed_on, with_chain
from ..saga.failure import LeftToOthers, text_of
from ..saga.history_format import HEADER
from ..saga.temporal.activity_watch import start_watched
from ..saga.temporal.carried import carried
from ..saga.temporal.task_marker import TASK_MARK, is_task
from ..saga.temporal.untraced import Untraced


class TaskInterceptor(WorkflowInboundInterceptor):
    """Turns an ordinary exception of a task into its failure, and leaves other workflows alone."""

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        """See base class."""
        super().init(_Outbound(outbound))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        """See the class."""
        payload = input.headers.get(HEADER)
        parent = None if payload is None else CallHeader.model_validate_json(payload.data)
        PARENT.set(parent)
        OPENED.set([])
        OPENING.set([])
        if is_task():
            workflow.logger.info("task started")
        try:
            if parent is not None:
                return await self._as_child(input)
            result = await super().execute_workflow(input)
            if is_task():
                workflow.logger.info("task completed")
            return result
        except ApplicationError as error:
            if is_task():
                workflow.logger.warning("task failed: %s: %s", error.type, error.message)
            if error.type in TOLD and error.__cause__ is None:
                raise Untraced.of(error, workflow.payload_converter()) from None
            raise
        except (FailureError, LeftToOthers, workflow.ContinueAsNewError, workflow.NondeterminismError):
            raise
        except Exception as error:
            if not is_task():
                raise
            type_ = type(error).__name__
            told = ApplicationError(text_of(error) or type_, type=type_, non_retryable=True)
            raise told from carried(error)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        """Adds the board to what the Web UI asks of a workflow."""
        answer = await super().handle_query(input)
        if isinstance(answer, WorkflowMetadata):
            answer.current_details = "\n\n".join(filter(None, (answer.current_details, current_details())))
        return answer

    async def _as_child(self, input: ExecuteWorkflowInput) -> Any:
        try:
            result = await super().execute_workflow(input)
            spent = earlier_runs_spent()
            return hand_over(result, [context.record for context in OPENED.get() or []], spent)
        except (LeftToOthers, workflow.ContinueAsNewError, workflow.NondeterminismError, GeneratorExit):
            raise
        except BaseException as error:
            ended = await undo_completed(error)
            await tell_spent(ended)
            raise ended from error.__cause__


class _Outbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        input.headers = _with(CURRENT_HEADER.get(), input.headers)
        return start_watched(input, super().start_activity)

    def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
        return start_watched(input, super().start_local_activity)

    async def start_child_workflow(
        self, input: StartChildWorkflowInput
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        input.headers = _with(CURRENT_HEADER.get(), input.headers)
        return await super().start_child_workflow(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        input.headers = _with(continued_parent(), input.headers)
        if getattr(type(workflow.instance()), TASK_MARK, False):
            # What lives for months need not keep the workers of its first version alive.
            input.initial_versioning_behavior = workflow.ContinueAsNewVersioningBehavior.AUTO_UPGRADE
        super().continue_as_new(input)


def _with(header: CallHeader | None, headers: Mapping[str, Payload]) -> Mapping[str, Payload]:
    headers = with_chain(headers, passed_on(workflow.info().headers))
    if header is None:
        return headers
    data = header.model_dump_json(exclude_defaults=False).encode()
    return {**headers, HEADER: Payload(metadata={"encoding": b"json/plain"}, data=data)}
