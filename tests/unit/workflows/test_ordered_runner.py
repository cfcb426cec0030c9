"""What a workflow is told at once, and in which order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from counterstep.workflows import ON_EVERY_WORKER, AgentTask, AnyTask, registered_task
from counterstep.workflows.ordered_runner import OrderedRunner, in_order, is_ours

LOCAL, CALL, SIGNAL, QUERY = "local", "call", "signal", "query"


class Listener(WorkflowInstance):
    """Notes what it is told, and answers with a timer for each."""

    def __init__(self, fails_at: int | None = None, ends_at: int | None = None) -> None:
        self.told: list[tuple[int, list[str]]] = []
        self.times: list[int] = []
        self.steady: list[float] = []
        self._fails_at = fails_at
        self._ends_at = ends_at

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """Notes it."""
        self.told.append((act.history_length, [kind_of(job) for job in act.jobs]))
        self.times.append(act.timestamp.seconds)
        self.steady.append(vars(self).get("__counterstep_steady_time__", 0.0))
        completion = WorkflowActivationCompletion(run_id=act.run_id)
        if len(self.told) == self._ends_at:
            completion.successful.commands.add().complete_workflow_execution.SetInParent()
            return completion
        if len(self.told) == self._fails_at:
            completion.failed.failure.message = "it broke"
            return completion
        completion.successful.commands.add().start_timer.seq = len(self.told)
        return completion

    def get_info(self) -> Any:
        """Is not asked."""
        raise NotImplementedError

    def get_serialization_context(self, command_info: Any) -> None:
        """Is not asked."""
        raise NotImplementedError

    def get_external_store_context(self, command_info: Any) -> Any:
        """Is not asked."""
        raise NotImplementedError


def kind_of(job: Any) -> str:
    """Which of the four a job is."""
    if job.HasField("resolve_activity"):
        return LOCAL if job.resolve_activity.is_local else CALL
    return SIGNAL if job.HasField("signal_workflow") else QUERY


def activation(length: int, *kinds: str) -> WorkflowActivation:
    """An activation at this length of the history."""
    act = WorkflowActivation(run_id="run", history_length=length)
    for kind in kinds:
        job = act.jobs.add()
        if kind in (LOCAL, CALL):
            job.resolve_activity.is_local = kind == LOCAL
        else:
            getattr(job, f"{kind}_workflow").SetInParent()
    return act


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> tuple[WorkflowInstance, Listener]:
    return made(monkeypatch, Listener())


def made(
    patch: pytest.MonkeyPatch, listener: Listener, of: type = AgentTask
) -> tuple[WorkflowInstance, Listener]:
    """An instance of the runner that tells this listener."""
    patch.setattr(UnsandboxedWorkflowRunner, "create_instance", lambda self, det: listener)
    details: Any = SimpleNamespace(defn=SimpleNamespace(cls=of))
    return OrderedRunner().create_instance(details), listener


def timers(completion: WorkflowActivationCompletion) -> list[int]:
    """The timers that an activation has started."""
    return [command.start_timer.seq for command in completion.successful.commands]


@pytest.mark.parametrize("jobs", [(LOCAL,), (LOCAL, LOCAL), (CALL, SIGNAL), (QUERY,), ()])
def test_what_is_of_one_kind_is_told_at_once(
    instance: tuple[WorkflowInstance, Listener], jobs: tuple[str, ...]
) -> None:
    workflow, listener = instance
    assert timers(workflow.activate(activation(7, *jobs))) == [1]
    assert listener.told == [(7, list(jobs))]


def test_after_a_query_a_local_activity_has_ended_in_the_task_before(
    instance: tuple[WorkflowInstance, Listener],
) -> None:
    workflow, listener = instance
    workflow.activate(activation(3, CALL))
    workflow.activate(activation(3, QUERY))
    assert timers(workflow.activate(activation(9, SIGNAL, CALL, LOCAL))) == [3, 4]
    assert listener.told[2:] == [(3, [LOCAL]), (9, [SIGNAL, CALL])]


def test_after_a_query_it_is_told_as_of_the_task_before_also_where_nothing_else_has_happened(
    instance: tuple[WorkflowInstance, Listener],
) -> None:
    workflow, listener = instance
    workflow.activate(activation(3, QUERY))
    workflow.activate(activation(7, LOCAL))
    assert listener.told[1:] == [(3, [LOCAL])]


def test_what_ends_in_the_task_of_the_query_is_told_as_it_is(
    instance: tuple[WorkflowInstance, Listener],
) -> None:
    """The SDK has moved the time on by what it took, as it does in a replay."""
    workflow, listener = instance
    for seconds, kind in ((1, QUERY), (2, LOCAL)):
        act = activation(3, kind)
        act.timestamp.FromSeconds(seconds)
        workflow.activate(act)
    assert listener.times == [1, 2]


def test_of_a_workflow_that_has_ended_no_more_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow, listener = made(monkeypatch, Listener(ends_at=2))
    workflow.activate(activation(3, QUERY))
    completion = workflow.activate(activation(9, CALL, LOCAL))
    assert len(listener.told) == 3
    assert [command.WhichOneof("variant") for command in completion.successful.commands] == [
        "complete_workflow_execution"
    ]


def test_local_activities_and_queries_do_not_move_the_steady_time(
    instance: tuple[WorkflowInstance, Listener],
) -> None:
    workflow, listener = instance
    for seconds, kinds in ((1, [CALL]), (2, [LOCAL]), (3, [QUERY]), (4, [LOCAL]), (5, [SIGNAL, LOCAL])):
        act = activation(seconds, *kinds)
        act.timestamp.FromSeconds(seconds)
        workflow.activate(act)
    assert listener.steady == [1, 1, 1, 1, 5, 5]


def test_without_a_query_it_has_ended_in_the_new_task(instance: tuple[WorkflowInstance, Listener]) -> None:
    """As where a local activity outlasts a workflow task: what has happened meanwhile is told first."""
    workflow, listener = instance
    workflow.activate(activation(3, QUERY))
    workflow.activate(activation(5, CALL))
    workflow.activate(activation(9, CALL, LOCAL, CALL))
    assert listener.told[2:] == [(9, [CALL, CALL]), (9, [LOCAL])]


def test_nothing_is_told_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow, listener = made(monkeypatch, Listener(fails_at=1))
    completion = workflow.activate(activation(9, CALL, LOCAL))
    assert completion.failed.failure.message == "it broke"
    assert len(listener.told) == 1


class Own(UnsandboxedWorkflowRunner):
    """A runner of a user's own."""


@pytest.mark.parametrize("runner", [Own(), SandboxedWorkflowRunner(runner_class=Own)])
def test_a_runner_of_ones_own_stays(runner: WorkflowRunner) -> None:
    assert in_order(runner) is runner


def test_the_sdks_runners_are_put_in_order() -> None:
    assert isinstance(in_order(UnsandboxedWorkflowRunner()), OrderedRunner)
    restrictions = SandboxRestrictions.default.with_passthrough_modules("mine")
    runner = in_order(SandboxedWorkflowRunner(restrictions=restrictions))
    assert isinstance(runner, SandboxedWorkflowRunner)
    assert (runner.runner_class, runner.restrictions) == (OrderedRunner, restrictions)
    assert in_order(runner) is runner


def test_all_that_the_sdk_asks_of_a_workflow_is_passed_on(
    instance: tuple[WorkflowInstance, Listener],
) -> None:
    """What a later version asks in addition would be answered by its base class, and wrongly."""
    asked = {name for name in vars(WorkflowInstance) if not name.startswith("_")}
    assert asked <= vars(type(instance[0])).keys()


@pytest.mark.parametrize("cls", [registered_task("shop.order"), AnyTask, *ON_EVERY_WORKER])
def test_workflows_of_ours_are_known(monkeypatch: pytest.MonkeyPatch, cls: type) -> None:
    assert is_ours(made(monkeypatch, Listener(), cls)[0])


@pytest.mark.parametrize("cls", [Own, type("Heir", (AgentTask,), {"__module__": __name__})])
def test_what_others_have_written_is_not_ours(monkeypatch: pytest.MonkeyPatch, cls: type) -> None:
    assert not is_ours(made(monkeypatch, Listener(), cls)[0])
    assert not is_ours(Listener()), "what another runner has made is not known"
