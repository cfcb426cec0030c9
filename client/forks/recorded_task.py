"""What a task knew each time when it was about to start a step, found by replaying its recorded history.

Only the engine itself can tell what a step had come to: an output may be that of an agent, a team, a group,
a person or a plain rule. It runs again over the events that were recorded; nothing is called or sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from temporalio.client import Client, WorkflowHistory

from ...histories.payload_reader import PayloadReader
from ...histories.run_history import RunHistory
from ...saga.history_format import CONVERSATION, PROCESS_AGENT, RECOVER, TEAM
from ...saga.record.fork import Lineage
from ...saga.record.step_record import DONE, StepRecord, StepState
from ...saga.record.task_record import TaskRecord
from ...saga.spec.graph import every_step
from ...saga.spec.snapshot import Snapshot
from ...saga.spec.task_spec import TaskSpec
from ..errors import NotForkable
from ..updates import find_task

_PARTS = {
    RECOVER: "a recovery",
    CONVERSATION: "a long conversation of another task",
    TEAM: "a long team of another task",
    PROCESS_AGENT: "a process agent of another task",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """What a task knew right before a step started.

    Attributes:
        steps: The steps that had finished, by the names of the board.
        facts: What people had told it.
        events: What had happened outside.
        feedback: What its steps were told of earlier attempts.
    """

    steps: Mapping[str, StepRecord]
    facts: Mapping[str, Any]
    events: list[dict[str, Any]]
    feedback: Mapping[str, list[dict[str, Any]]]


@dataclass(slots=True)
class RecordedTask:
    """One task, seen while its history was replayed.

    Attributes:
        id: Its workflow id.
        run_id: Its newest run.
        task_queue: The queue of its workers.
        snapshot: The spec and catalog that it uses; None before it was seen.
        input: Its input.
        forked: Where it was forked from itself.
        moments: What it knew each time when a step started, by step, oldest first.
        taken_over: The steps that it has taken over itself.
    """

    id: str
    run_id: str
    task_queue: str
    snapshot: Snapshot | None = None
    input: Any = None
    forked: Lineage | None = None
    moments: dict[str, list[Moment]] = field(default_factory=dict)
    taken_over: set[str] = field(default_factory=set)
    _states: dict[str, StepState] = field(default_factory=dict)
    _outputs: dict[tuple[str, Any], Any] = field(default_factory=dict)
    _newest: dict[str, tuple[StepState, Any]] = field(default_factory=dict)

    @property
    def spec(self) -> TaskSpec:
        """Its spec."""
        assert self.snapshot is not None
        assert self.snapshot.spec is not None
        return self.snapshot.spec

    def undone_since(self, moment: Moment) -> list[str]:
        """Returns the steps that had finished then, and were undone, or done again, afterwards."""
        return [n for n, step in moment.steps.items() if self._newest[n] != (step.state, step.finished)]

    # --- what the replayed engine calls, see `saga.engine.opening.Observer`

    def begins(self, record: TaskRecord, snapshot: Snapshot, task_input: Any) -> None:
        """Notes what a run begins with; a run that continues another one knows finished steps."""
        self.snapshot, self.input, self.forked = snapshot, task_input, record.forked
        self._states = {name: step.state for name, step in record.steps.items()}
        self.taken_over = {name for name, step in record.steps.items() if step.taken_over}

    def sees(self, record: TaskRecord) -> None:
        """Notes what the task knows whenever a step has just started."""
        if self.snapshot is None:
            return
        for name, step in record.steps.items():
            if step.state is StepState.COMPLETED and step.output is not None:
                # A continued run is given only those outputs that may still be read.
                self._outputs[name, step.finished] = step.output
        for name, step in record.steps.items():
            before = self._states.get(name, StepState.PENDING)
            self._states[name] = step.state
            if before is StepState.PENDING and step.state is not StepState.PENDING:
                self.moments.setdefault(name, []).append(self._moment(record, name))
        self._newest = {name: (step.state, step.finished) for name, step in record.steps.items()}

    def _moment(self, record: TaskRecord, starting: str) -> Moment:
        doubt = record.plans.doubts.get("")
        others = self.spec.steps if doubt is None else [s for s in self.spec.steps if s.id not in doubt.steps]
        finished = {
            step.id: {inner.id for inner in every_step([step])}
            for step in others
            if step.id in record.steps and step.id != starting and record.steps[step.id].state in DONE
        }
        names = set[str]().union(*finished.values())
        return Moment(
            steps={
                name: self._taken_over(name, step)
                for name, step in record.steps.items()
                if name.rpartition("/")[2] in names and step.state in DONE
            },
            facts=dict(record.facts),
            events=list(record.events),
            feedback={name: list(told) for name, told in record.feedback.items()},
        )

    def _taken_over(self, name: str, step: StepRecord) -> StepRecord:
        output = self._outputs.get((name, step.finished)) if step.output is None else step.output
        return replace(
            step,
            output=output,
            verdicts=list(step.verdicts),
            attempts=0,
            model_calls=0,
            tokens=0,
            usd=0.0,
            taken_over=True,
        )


async def read_recorded(client: Client, id: str) -> RecordedTask:
    """Reads a task from the histories of its runs.

    Args:
        client: Connected, with the codec of the workers.
        id: The workflow id.

    Returns:
        The task; it may still run.

    Raises:
        UnknownTask: There is no such task.
        NotForkable: It was not started by a spec, or has not begun, or its history cannot be replayed here.
        RPCError: The server does not answer.
    """
    _, found = await find_task(client, id)
    what = _PARTS.get(found.workflow_type)
    if what is not None:
        raise NotForkable(f"{id} is {what}, which has no steps; fork that task.")
    runs = await _runs(client, id, found.run_id)
    await _expect_spec(client, id, runs[0])
    seen = RecordedTask(id=id, run_id=found.run_id, task_queue=found.task_queue)
    from .replaying import replay

    for run in runs:
        await replay(client.data_converter, client.namespace, run, seen)
    if seen.snapshot is None:
        raise NotForkable(f"{id} has not begun: nothing was done before any of its steps.")
    return seen


async def _runs(client: Client, id: str, run_id: str) -> list[WorkflowHistory]:
    """Returns the histories of a run and of those that it continues, oldest first."""
    runs: list[WorkflowHistory] = []
    while run_id:
        runs.insert(0, await client.get_workflow_handle(id, run_id=run_id).fetch_history())
        run_id = _read(id, runs[0]).continues
    return runs


def _read(id: str, history: WorkflowHistory) -> RunHistory:
    read = RunHistory(id, history.run_id)
    for event in history.events:
        read.add(event)
    return read


async def _expect_spec(client: Client, id: str, first: WorkflowHistory) -> None:
    read = _read(id, first)
    if not read.is_ours:
        raise NotForkable(f"{id} is not a task of Counterstep's, or it has not begun.")
    try:
        spec = await PayloadReader(client.data_converter, client.namespace, strict=True).spec(read)
    except Exception as error:
        raise NotForkable(f"What {id} has done cannot be read here: {error}") from error
    if spec is None:
        raise NotForkable(
            f"{id} was not started by a spec: what goes on between its calls is the code of its workflow, "
            "which cannot begin in the middle. Reset it with Temporal, or start it again."
        )
