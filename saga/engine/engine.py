"""Runs one task from its spec: forward to a checked output, or back to where it began."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow

from ..duration import format_duration
from ..errors import ExpressionError, FailureType
from ..expressions.template import without
from ..failure import Failed, Failure, Stopped
from ..limits.payload_size import MAX_PAYLOAD
from ..people.questions import Check, fits
from ..record.step_record import DONE
from ..record.task_record import TaskRecord
from ..record.task_result import TaskResult
from ..record.task_state import TaskState
from ..record.undo_progress import undone_steps
from ..spec.snapshot import Snapshot
from ..spec.task_spec import Step
from ..temporal.cancel_watch import CancelWatch
from ..temporal.current_history import current_history_size
from ..temporal.stop_scope import StopScope
from ..verdict import Subject
from ..verification.verifier import Claim
from .amendments import Amendments
from .continue_as_new import PAGES, arguments_of
from .graph_run import GraphRun
from .lifecycle import Lifecycle, failure_of
from .run_context import RunContext

_CANCELLED = "the task was cancelled"


class Engine:
    """Runs one task."""

    def __init__(
        self, record: TaskRecord, snapshot: Snapshot, task_input: Any, deadline: datetime | None = None
    ) -> None:
        """Prepares a task.

        Args:
            record: Its record, new or carried over.
            snapshot: With a spec.
            task_input: Checked against the spec's schema already.
            deadline: When it is to be rolled back, where an earlier run has settled that.
        """
        assert snapshot.spec is not None
        self._snapshot = snapshot
        self._may_continue = True
        self._deadline = deadline
        if deadline is None and snapshot.spec.deadline is not None:
            self._deadline = workflow.now() + snapshot.spec.deadline
        self._spec = snapshot.spec
        self._record = record
        record.describe(record.task, self._spec.goal, self._spec.budget)
        record.policies.say("", self._spec.on_limit)
        undos = self._spec.compensation
        self._context = RunContext.assemble(
            record, snapshot, task_input, sequential=undos.order == "sequential", give_up=undos.give_up
        )
        self._life = Lifecycle(self._context)
        self._scope = StopScope()
        self._cancel = CancelWatch()
        self._late: str | None = None
        if record.committed:
            self._scope.seal()
        self._reset: Failure | None = None
        self._context.reset_gate.roll_back = self._stop_after_reset

    async def run(self) -> TaskResult:
        """Runs the task to its end.

        Returns:
            The result of a task that completed.

        Raises:
            ApplicationError: It was undone (``SagaRolledBack``) or could not be undone wholly
                (``SagaRollbackIncomplete``).
            asyncio.CancelledError: It was cancelled, and everything is undone.
        """
        return await self._cancel.outlast(self._context.notices.after(self._run()), self._stop_for_cancel)

    def _stop_for_cancel(self) -> None:
        self._stop(_CANCELLED)

    def _stop_after_reset(self, reason: str) -> None:
        self._reset = Failure(step="", type=FailureType.RESET, message=reason)
        self._stop(reason)

    def _stop(self, reason: str) -> None:
        if self._record.committed:
            self._record.log.add("counterstep", "too late, past the point of no return", "", reason)
        self._scope.stop(reason)

    async def _run(self) -> TaskResult:
        self._life.begin()
        try:
            output = await self._forward()
        except Exception as error:
            raise await self._backward(error) from None
        self._life.complete()
        return TaskResult(
            task=self._record.task,
            state=TaskState.COMPLETED.value,
            output=output,
            undone=undone_steps(self._record.ledger, self._record.undo_order),
            not_undone=self._record.ledger.skipped_steps(),
            usage=self._record.spending.usage.report(),
            degraded={name: step.degraded for name, step in self._record.steps.items() if step.degraded},
        )

    async def _forward(self) -> Any:
        graph = GraphRun(
            self._context,
            self._spec.steps,
            prefix="",
            scope=self._scope,
            variables={"task": self._context.input},
            depends_on=frozenset(),
            before_pivot=self._before_pivot,
            pause=self._is_long,
        )
        self._graph = graph
        amendments = Amendments(self._record, graph, self._scope)
        deadline = self._watch_deadline()
        try:
            while True:
                if not await graph.run():
                    await self._continue_as_new()
                    continue
                facts = self._record.facts
                output = await self._last_output()
                if not self._record.committed:
                    await self._verify(output)
                await workflow.wait_condition(workflow.all_handlers_finished)
                self._scope.check("")
                is_settled = not graph.has_redos and not graph.is_in_doubt
                if is_settled and self._record.facts == facts:
                    return output
        finally:
            amendments.end()
            if deadline is not None:
                deadline.cancel()

    def _is_long(self) -> bool:
        return self._may_continue and current_history_size().is_long(
            waiting=self._record.state is not TaskState.RUNNING
        )

    async def _continue_as_new(self) -> None:
        """Goes on in a new run; returns where something has come in between, or the task is too large."""
        await workflow.wait_condition(workflow.all_handlers_finished)
        await self._context.notices.linger()
        if self._graph.has_redos or self._scope.stopped:
            return
        # Registered tasks take any number of arguments, and `AgentTask` one.
        most = 1 if workflow.info().workflow_type == "AgentTask" else PAGES
        task_input = self._context.input
        arguments = arguments_of(self._record, self._snapshot, task_input, self._deadline, most=most)
        if arguments is None:
            self._record.log.add(
                "counterstep", "too large to continue as new; goes on as long as history has room"
            )
            self._may_continue = False
            return
        workflow.continue_as_new(args=arguments)

    async def _backward(self, error: Exception) -> BaseException:
        failure = self._cause(error)
        cancelled = failure.type == FailureType.CANCELLED
        if self._record.committed:
            # A bug past the point of no return: what came before stands, and the error says so.
            self._record.blame(failure)
            return self._life.ended(cancelled=False, cause=error)
        await self._life.undo(failure)
        await workflow.wait_condition(workflow.all_handlers_finished)
        self._withdraw_groups(self._spec.steps, "")
        return self._life.ended(cancelled=cancelled, cause=error)

    def _withdraw_groups(self, steps: Sequence[Step], prefix: str) -> None:
        """Takes the outputs of groups back whose steps are all undone; steps do it for themselves."""
        for step in steps:
            if step.group is None:
                continue
            path = f"{prefix}{step.id}"
            inside = self._record.ledger.under(path)
            if inside and not self._record.ledger.is_open(within=inside):
                self._record.withdraw(step.id)
            self._withdraw_groups(step.group.steps, f"{path}/")

    def _cause(self, error: Exception) -> Failure:
        if self._cancel.requested and self._scope.reason == _CANCELLED:
            return Failure(step="", type=FailureType.CANCELLED, message=_CANCELLED)
        if self._late is not None and self._scope.reason == self._late:
            return Failure(step="", type=FailureType.DEADLINE, message=self._late)
        if isinstance(error, Stopped) and self._reset is not None:
            return self._reset
        return failure_of(error)

    def _watch_deadline(self) -> asyncio.Task[None] | None:
        return None if self._deadline is None else asyncio.create_task(self._stop_at(self._deadline))

    async def _stop_at(self, deadline: datetime) -> None:
        await workflow.sleep(max(deadline - workflow.now(), timedelta()), summary="deadline")
        assert self._spec.deadline is not None
        self._late = f"the deadline of {format_duration(self._spec.deadline)} has passed"
        self._stop(self._late)

    async def _last_output(self) -> Any:
        """Renders the task's output; past the point of no return a person mends what cannot be rendered."""
        while True:
            try:
                return await self._output(self._spec.output)
            except Failed as failed:
                if not self._record.committed:
                    raise
                ask = f"{failed.failure}; what now?"
            actions: dict[str, Check | None] = {"retry": None, "supply": fits({})}
            answer = await self._context.questions.ask("task", "output", ask, actions, self._scope)
            if answer.action == "supply":
                return answer.value

    async def _output(self, template: Any) -> Any:
        if template is None:
            output: Any = {name: step["output"] for name, step in self._graph.own_steps().items()}
        else:
            try:
                output = await self._context.load.pace.render(template, self._graph.variables(), "output")
            except ExpressionError as error:
                raise Failed(Failure(step="", type=FailureType.EXPRESSION, message=str(error))) from None
        size = workflow.payload_converter().to_payload(output).ByteSize()
        if size > MAX_PAYLOAD:
            message = f"the output of the task has {size} bytes; the most is {MAX_PAYLOAD}"
            raise Failed(Failure(step="", type=FailureType.PAYLOAD_TOO_LARGE, message=message))
        return output

    async def _before_pivot(self) -> None:
        """Checks the task as far as it has come: what reads steps that have not ended is null."""
        ended = {name for name, step in self._graph.own_steps().items() if step["state"] in DONE}
        template = self._spec.output
        if template is not None:
            template = without(template, lambda path: path.root == "steps" and path.parts[0] not in ended)
        await self._verify(await self._output(template))

    async def _verify(self, output: Any) -> None:
        variables = self._graph.variables()
        claim = Claim(
            step="",
            path="task",
            round=self._record.next_round("task"),
            schema={},
            subject=Subject(
                task_id=self._record.task_id,
                goal=self._record.goal,
                task=self._context.input,
                author=self._record.task,
                input=self._context.input,
                output=output,
                steps={name: step["output"] for name, step in variables["steps"].items()},
            ),
            scope={**variables, "output": output, "input": self._context.input},
        )
        if self._spec.validate_:
            await self._context.verifier.verify(claim, self._spec.validate_, self._scope)
