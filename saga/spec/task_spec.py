"""A task as data: the models behind ``order.yaml``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    model_validator,
)

from ..duration import Duration, format_duration
from ..effect import Effect
from ..expressions.json_values import Whole
from ..limits.budget import Budget
from ..limits.limit_policies import OnLimit
from .approval import ToolApproval
from .failure_policy import (
    AnyRung,
    Escalate,
    Escalation,
    Fallback,
    OnTrouble,
    OtherModel,
    PlainRule,
    every_rung,
)
from .fields import BareExpression, SpecModel, StepId
from .retry import Retry
from .teams.pattern import Pattern
from .teams.team import Team
from .timeout import Timeout
from .validation import Validation
from .waiting import Approve, Wait

KINDS = ("agent", "tool", "team", "workflow", "group", "approve", "wait")
"""What a step may call."""


def step_fault(step: Mapping[str, Any]) -> str | None:
    """Says which keys of a step do not go together, or None."""
    said = {key for key, value in step.items() if value is not None}
    kinds = [kind for kind in KINDS if kind in said]
    if len(kinds) != 1:
        found = f"not {' and '.join(kinds)} together" if kinds else "and this one is none"
        return f"a step is exactly one of agent, tool, team, workflow, group, approve and wait, {found}"
    own = ("input", "guard", "one_of", "compensate", "effect", "retry", "timeout", "task_queue")
    refused = [key for key in (*own, "on_limit") if "group" in said and step.get(key)]
    if refused:
        return f"a group has no {' and no '.join(refused)}; its steps have"
    waits = next((kind for kind in ("approve", "wait") if kind in said), None)
    limits = ("budget", "on_limit")
    refused = [key for key in (*own, *limits, "approvals") if waits is not None and step.get(key)]
    if refused:
        return f"{waits} has no {' and no '.join(refused)}; it only waits"
    refused = [key for key in ("one_of", "compensate", "retry") if "workflow" in said and step.get(key)]
    if refused:
        return (
            f"a child workflow has no {' and no '.join(refused)}; it undoes itself, and retry_from repeats it"
        )
    refused = [key for key in ("one_of", "compensate", "effect") if "team" in said and step.get(key)]
    if refused:
        return f"a team has no {' and no '.join(refused)}; what its members do has"
    refused = [key for key in ("name", "input") if key in _keys_of(step.get("team"))]
    if refused:
        return f"a team in a step has no {' and no '.join(refused)}; the step has"
    if "tools" in said and "agent" not in said:
        return "tools says which of its tools the agent of a step may call; leave it out where there is none"
    if "workflow" in said and step.get("on_limit"):
        return "a child workflow has no on_limit; its own task says that"
    if "tool" in said and step.get("on_limit") == "finish":
        return "on_limit: finish is for agents and teams; a tool cannot sum up what there is"
    if "max_parallel" in said and "for_each" not in said:
        return "max_parallel needs for_each"
    alone = [key for key in ("after", "keep", "frozen") if key in said and "key" not in said]
    if "key" in said and "for_each" not in said:
        return "key needs for_each: it names the items"
    if alone:
        return f"{' and '.join(alone)} {'needs' if len(alone) == 1 else 'need'} key, which names the items"
    if step.get("keep") == "closure" and "after" not in said:
        return "keep: closure needs after, which says what comes after what"
    return None


def _keys_of(team: Any) -> Collection[str]:
    if isinstance(team, Pattern):
        return team.model_fields_set
    return team if isinstance(team, Mapping) else ()


class Group(SpecModel):
    """Inline child steps that succeed or are undone together.

    Attributes:
        steps: The steps, at least one.
        output: Template of the group's output; the outputs of its steps by id where not given.
    """

    steps: tuple[Step, ...] = Field(min_length=1)
    output: Any = None


class Step(SpecModel):
    """One node of a task: exactly one of `agent`, `tool`, `team`, `workflow`, `group`, `approve` and `wait`.

    Attributes:
        id: Its name, unique in the whole task.
        needs: Steps that have to end before; those that its expressions read need not be named.
        agent: The agent to call, by its full name; a template that comes to one of `one_of`.
        tool: The tool to call, likewise.
        team: Several agents that do it together, as a registered team would.
        workflow: The child to start: a registered task, or a workflow type.
        group: Steps that succeed or are undone together.
        approve: A question to a person.
        wait: An event or a while to wait for.
        one_of: What the name of a computed agent or tool may come to.
        tools: Which of its tools the agent may call here, agents among them; all of them where not given.
        input: What is called gets this; a template.
        guard: Checks of the input before anything is called; they read it as ``input``.
        when: An expression; where it is false the step is skipped: `needs` is satisfied, the output is null.
        for_each: An expression that gives a list: the step is done for each ``item``, with its ``index``.
        key: An expression that names an item, e.g. ``item.id``: then the list is a plan. When that changes,
            only the items that differ are undone and done again. An item has the path ``STEP[KEY]``.
        after: An expression that gives the keys of the items that an item comes after.
        keep: Which items a changed plan leaves untouched: ``same``, those that are called with the same
            input, and so where not given; ``closure``, of those what comes after nothing that changes.
        frozen: An expression that is true for an item that may not be undone any more: a plan that would undo
            it is refused.
        max_parallel: How many items at once, at most.
        precondition: An expression that must be true right before the step.
        validate_: Checks of its output (``validate`` in the document).
        approvals: Which calls inside of it need a person's yes, besides those whose tools say so.
        compensate: The compensation, in place of the one that the agent or tool has.
        effect: The effect, where it is worse than what the agent or tool says; of a child, what it is.
        retry: How its calls are tried again.
        timeout: The longest that one attempt of a call may take, as a duration or as what was measured
            (``p95``); of a child, the whole child.
        task_queue: The queue of other workers, for its calls or its child.
        budget: The most that it may spend, its items and repetitions taken together.
        on_limit: What follows when a limit is reached in it; as the task says where not given.
        on_failure: What follows when it breaks: one thing, or a ladder of several that are tried in order.
        on_reject: What follows when a verdict says no; as `on_failure` where not given.
    """

    id: StepId
    needs: tuple[StepId, ...] = ()
    agent: str | None = None
    tool: str | None = None
    team: Team | None = None
    workflow: str | None = Field(default=None, min_length=1)
    group: Group | None = None
    approve: Approve | None = None
    wait: Wait | None = None
    one_of: tuple[str, ...] = ()
    tools: tuple[str, ...] | None = None
    input: Any = Field(default_factory=dict)
    guard: tuple[Validation, ...] = ()
    when: BareExpression | None = None
    for_each: BareExpression | None = None
    key: BareExpression | None = None
    after: BareExpression | None = None
    keep: Literal["same", "closure"] | None = None
    frozen: BareExpression | None = None
    max_parallel: Whole[int | None] = Field(default=None, ge=1, strict=True)
    precondition: BareExpression | None = None
    validate_: tuple[Validation, ...] = Field(default=(), alias="validate")
    approvals: tuple[ToolApproval, ...] = ()
    compensate: str | None = None
    effect: Effect | None = None
    retry: Retry | None = None
    timeout: Timeout | None = None
    task_queue: str | None = Field(default=None, min_length=1)
    budget: Budget = Budget()
    on_limit: OnLimit | None = None
    on_failure: OnTrouble = "rollback"
    on_reject: OnTrouble | None = None

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _keys_go_together(self) -> Step:
        message = step_fault({name: getattr(self, name) for name in self.model_fields_set})
        if message is not None:
            raise ValueError(message)
        return self

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def target(self) -> str | None:
        """What is called, as written (an agent or tool may be an expression); None where nothing is.

        A team that is written in a step is an agent of the name of the step.
        """
        return self.agent or self.tool or self.workflow or (self.id if self.team is not None else None)

    @property
    def label(self) -> str:
        """What the board says that the step calls, or is."""
        if self.group is not None:
            return f"group of {len(self.group.steps)}"
        if self.approve is not None:
            return "a person"
        if self.team is not None:
            return f"{self.team.pattern} of {len(self.team.seats())}"
        if self.wait is not None:
            return self.wait.event or format_duration(self.wait.time or timedelta())
        return self.target or ""

    @property
    def on_rejection(self) -> OnTrouble:
        """What follows a verdict that says no."""
        return self.on_reject if self.on_reject is not None else self.on_failure

    @property
    def rungs(self) -> tuple[tuple[str, AnyRung], ...]:
        """Whatever the step says about failures and about rejections, each with the key where it stands."""
        said = [*every_rung(self.on_failure, "on_failure")]
        return (*said, *(() if self.on_reject is None else every_rung(self.on_reject, "on_reject")))

    @property
    def troubles(self) -> tuple[AnyRung, ...]:
        """What the step says about failures and about rejections, and then as a last resort."""
        return tuple(rung for _, rung in self.rungs)

    @property
    def escalations(self) -> tuple[tuple[str, Escalation], ...]:
        """The escalations that say whom they ask, each with the key where it stands."""
        return tuple((key, rung.escalate) for key, rung in self.rungs if isinstance(rung, Escalate))

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """The agents that may do the step in its place."""
        return tuple(dict.fromkeys(rung.fallback for rung in self.troubles if isinstance(rung, Fallback)))

    @property
    def rules(self) -> tuple[str, ...]:
        """The tools and agents in Python, all read-only, that may answer in its place."""
        return tuple(dict.fromkeys(rung.rule for rung in self.troubles if isinstance(rung, PlainRule)))

    @property
    def other_models(self) -> tuple[str, ...]:
        """The models that may play its agent in place of the agent's own."""
        others = (rung.models for rung in self.troubles if isinstance(rung, OtherModel))
        return tuple(dict.fromkeys(name for models in others for name in models))


class Compensation(SpecModel):
    """How undos are run.

    Attributes:
        order: Side by side where nothing forbids it, or strictly one by one.
        give_up: How long an undo that stays stuck waits for a person; None for as long as it takes.
    """

    order: Literal["parallel", "sequential"] = "parallel"
    give_up: Duration | None = None


class TaskSpec(SpecModel):
    """A whole task as data.

    Attributes:
        name: The task's name; registered in a bundle it becomes the workflow type ``BUNDLE.NAME``.
        goal: What the task is for, in one sentence; every model sees it.
        input: JSON Schema of the task's input.
        budget: The most the task may spend.
        on_limit: What follows when a limit is reached; it fails where not given.
        deadline: The longest the task may run before it is rolled back, undos not counted.
        compensation: How undos are run.
        steps: The nodes of the graph.
        output: Template of the task's output.
        validate_: Checks of the whole output, before the task ends (``validate`` in the document).
        approvals: Which calls need a person's yes, those of children included, besides those whose tools say
            so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: StepId
    goal: str = ""
    input: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    budget: Budget = Budget()
    on_limit: OnLimit | None = None
    deadline: Duration | None = None
    compensation: Compensation = Compensation()
    steps: tuple[Step, ...] = Field(min_length=1)
    output: Any = None
    validate_: tuple[Validation, ...] = Field(default=(), alias="validate")
    approvals: tuple[ToolApproval, ...] = ()


Group.model_rebuild()
