"""A part of a task that goes on in a child workflow: into it, from run to run of it, and back."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..duration import Duration
from ..ledger.carry_over import CarriedEntry
from ..limits.budget import Budget
from ..limits.cost_bound import ModelFacts
from ..limits.limit_policies import OnLimit
from ..limits.usage import Usage
from ..record.consent import Consent
from ..record.undo_progress import UndoTime
from ..spec.approval import ToolApproval


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)

    def as_json(self) -> dict[str, Any]:
        """Returns it as JSON, without what has its default."""
        return self.model_dump(mode="json", exclude_defaults=True)


class MovedWork(_Frozen):
    """What the runs of the child have done so far.

    Attributes:
        usage: What was spent.
        undo_order: Ids of ledger entries in the order in which their undos finished.
        undo_times: By id, the times of the undos that were begun.
        moves: What teams have decided.
        decided: What else was decided.
    """

    usage: Usage = Usage()
    undo_order: tuple[str, ...] = ()
    undo_times: dict[str, UndoTime] = Field(default_factory=dict)
    moves: tuple[dict[str, Any], ...] = ()
    decided: tuple[dict[str, Any], ...] = ()


class MovedState(_Frozen):
    """What any child needs to go on with a part of its task; it names no code.

    The child's first argument, in a continued run inside a list: ``[state]``. What grows is in the second
    one, so that each stays under the size of one payload.

    Attributes:
        carried: In a continued run the version of this format; None otherwise.
        entries: In a continued run the ledger, oldest first.
        so_far: In a continued run what those before it have done.
        goal: What the whole task is for.
        budget: The most that the child may spend.
        past_pivot: Whether nothing may be done any more that would have to be undone.
        sequential: Whether undos run strictly one by one.
        give_up: How long a stuck undo waits for a person; None for as long as it takes.
        search_attributes: Whether the namespace knows Counterstep's search attributes.
        engine: By which rules the task is run that has started it.
        approvals: What the task demands of tool calls, besides what the tools demand themselves.
        consent: To what people have said yes so far.
        notify: Whether a webhook is told when the child waits for people.
        task: The input of the task, which approvals may read.
        models: What is known of its models, by name.
        pool: See `Snapshot`.
        on_limit: What follows when a limit is reached; None to fail.
        falls_back: Whether something else is tried when what goes on here fails.
    """

    carried: int | None = None
    entries: tuple[CarriedEntry, ...] = ()
    so_far: MovedWork = MovedWork()
    goal: str = ""
    budget: Budget = Budget()
    past_pivot: bool = False
    sequential: bool = False
    give_up: Duration | None = None
    search_attributes: bool = False
    engine: int = 1
    approvals: tuple[ToolApproval, ...] = ()
    consent: Consent = Consent()
    notify: bool = False
    task: Any = None
    models: dict[str, ModelFacts] = {}
    pool: dict[str, Any] | None = None
    on_limit: OnLimit | None = None
    falls_back: bool = False


class MovedAnswer(_Frozen):
    """What any child has to say in the end.

    Attributes:
        always: To which further calls people have said yes, by tool.
        moves: What teams have decided.
        decided: What else was decided.
        degraded: Which limit of a team has been reached; empty for none.
    """

    always: dict[str, tuple[dict[str, Any], ...]] = {}
    moves: tuple[dict[str, Any], ...] = ()
    decided: tuple[dict[str, Any], ...] = ()
    degraded: str = ""
