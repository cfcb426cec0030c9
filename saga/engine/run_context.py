"""What every task is run with, whether it comes from a spec or from a workflow of one's own."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from temporalio import workflow

from ..agents.agent_runner import AgentRunner
from ..agents.foreign.process_agents import ProcessAgents
from ..agents.long_conversation import LongConversations
from ..agents.model_calls.model_caller import ModelCaller
from ..calls.approvals import CallApprovals
from ..calls.caller import Caller
from ..calls.headers import PARENT
from ..calls.limit_waits import LimitWaits
from ..calls.pivot import PivotCaller
from ..calls.reset_gate import ResetGate
from ..calls.rollback import Rollback
from ..children.allotments import Allotments
from ..children.child_caller import ChildCaller
from ..children.child_questions import ChildQuestions
from ..children.moving import Moving
from ..children.parent_budget import ParentBudget
from ..limits.usage import Usage
from ..people.notices import Notices
from ..people.questions import Questions
from ..record.status import Status
from ..record.task_record import TaskRecord
from ..spec.catalog import Catalog
from ..spec.snapshot import Snapshot
from ..teams.agent_caller import AgentCaller
from ..teams.long.long_teams import LongTeams
from ..teams.router.consultant import Consultant
from ..temporal.load import Load
from ..verification.input_guard import InputGuard
from ..verification.verifier import Verifier
from .events import Events


@dataclass(frozen=True, slots=True)
class RunContext:
    """The parts of one running task.

    Attributes:
        record: Everything the task remembers.
        status: Shows where it is.
        input: The task's input; None where it comes from a workflow of one's own.
        catalog: The only catalog that it uses.
        load: Bounds what is under way, and done at a time.
        caller: Makes its calls.
        rollback: Undoes them.
        questions: Asks people.
        notices: Tells a webhook of it.
        reset_gate: Notices resets.
        events: What happens outside.
        pivots: Calls its pivot.
        models: Asks its models.
        children: Runs its child workflows.
        parent_budget: What its parent lets it spend.
        agents: Lets its agents do jobs.
        verifier: Checks its outputs.
        guard: Checks inputs.
        engine: By which rules it is run, see `ENGINE`.
    """

    record: TaskRecord
    status: Status
    input: Any
    catalog: Catalog
    load: Load
    caller: Caller
    rollback: Rollback
    questions: Questions
    notices: Notices
    reset_gate: ResetGate
    events: Events
    pivots: PivotCaller
    models: ModelCaller
    children: ChildCaller
    parent_budget: ParentBudget
    agents: AgentCaller
    verifier: Verifier
    guard: InputGuard
    engine: int

    @classmethod
    def assemble(
        cls,
        record: TaskRecord,
        snapshot: Snapshot,
        task_input: Any = None,
        *,
        sequential: bool = False,
        give_up: timedelta | None = None,
    ) -> Self:
        """Puts the parts of the running workflow together.

        Args:
            record: Everything the task remembers.
            snapshot: The only spec and catalog that it uses.
            task_input: See the attributes.
            sequential: Undo strictly one by one.
            give_up: How long a stuck undo waits for a person; None for as long as it takes.
        """
        catalog = snapshot.catalog
        parent = PARENT.get()
        root_key = workflow.info().first_execution_run_id if parent is None else parent.key
        record.know_compensations(catalog.compensations)
        record.spending.has_parts = snapshot.engine >= 4
        status = Status(record, search_attributes=snapshot.search_attributes, engine=snapshot.engine)
        notices = Notices(record, enabled=snapshot.notify)
        questions = Questions(record, status, notices)
        reset_gate = ResetGate(record, questions, snapshot.run_id, engine=snapshot.engine)
        load = Load(engine=snapshot.engine)
        approvals = CallApprovals(record, questions, load.pace, task_input, snapshot)
        limit_waits = LimitWaits(record, status, questions, snapshot.engine)
        caller = Caller(record, root_key, reset_gate, load, approvals, limit_waits, snapshot.engine)
        rollback = Rollback(record, caller, status, notices, sequential=sequential, give_up=give_up)
        opened = OPENED.get()
        record.spending.earlier = Usage.of_all(context.record.spending.usage for context in opened or ())
        given = None if parent is None or snapshot.engine < 3 else parent.allotment
        parent_budget = opened[0].parent_budget if opened else ParentBudget(given)
        allotments = Allotments(record, parent_budget, engine=snapshot.engine)
        caller.counted.find_room = allotments.find_room
        models = ModelCaller(record, caller, allotments, limit_waits, snapshot)
        waits = ChildQuestions(record, status)
        children = ChildCaller(record, root_key, load, approvals, waits, allotments, engine=snapshot.engine)
        moving = Moving(record, children, approvals, snapshot, sequential=sequential, give_up=give_up)
        long = LongConversations(record, models, moving, catalog, engine=snapshot.engine)
        verifier = Verifier(record, caller, models, catalog)
        guard = InputGuard(record, verifier, catalog, load.pace, task_input)
        caller.guard = guard.before_call
        agents = AgentRunner(
            record,
            caller,
            rollback,
            models,
            catalog,
            root_key,
            long,
            snapshot.engine,
            questions,
            guard.before_job,
        )
        context = cls(
            record=record,
            status=status,
            input=task_input,
            catalog=catalog,
            load=load,
            caller=caller,
            rollback=rollback,
            questions=questions,
            notices=notices,
            reset_gate=reset_gate,
            events=Events(record, load.pace),
            pivots=PivotCaller(record, caller, questions),
            models=models,
            children=children,
            parent_budget=parent_budget,
            agents=AgentCaller(
                agents,
                ProcessAgents(record, moving, catalog, root_key, guard.before_job),
                record,
                caller,
                rollback,
                questions,
                catalog,
                reset_gate,
                LongTeams(moving, catalog),
                Consultant(models, caller, root_key),
                task_input,
                snapshot.engine,
            ),
            verifier=verifier,
            guard=guard,
            engine=snapshot.engine,
        )
        if opened is not None:
            opened.append(context)
        return context


OPENED: ContextVar[list[RunContext] | None] = ContextVar("counterstep_opened", default=None)
"""The context of each saga that the running workflow has opened."""

OPENING: ContextVar[list[object] | None] = ContextVar("counterstep_opening", default=None)
"""The saga that the running workflow is about to open, if any."""
