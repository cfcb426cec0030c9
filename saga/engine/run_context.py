"""What every task is run with, whether it comes from a spec or from a workflow of one's own."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from temporalio import workflow

from ..agents.agent_runner import Conversations
from ..agents.long_conversation import LongConversations
from ..agents.model_caller import ModelCalls
from ..calls.caller import Caller
from ..calls.headers import PARENT
from ..calls.pivot import PivotCalls
from ..calls.reset_gate import Resets
from ..calls.rollback import Rollback
from ..children.child_caller import ChildCalls
from ..children.child_questions import ChildWaits
from ..people.questions import People
from ..record.status import Status
from ..record.task_record import Book
from ..spec.catalog import Catalog
from ..spec.snapshot import Snapshot
from ..verification.verifier import Verification
from .events import Events

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one running task.

    Attributes:
        book: Everything the task remembers.
        status: Shows where it is.
        input: The task's input; None where it comes from a workflow of one's own.
        catalog: The only catalog that it uses.
        caller: Makes its calls.
        rollback: Undoes them.
        people: Asks people.
        resets: Notices resets.
        events: What happens outside.
        pivots: Calls its pivot.
        models: Asks its models.
        children: Runs its child workflows.
        conversations: Runs its model agents.
        verification: Checks its outputs.
    """

    book: Book
    status: Status
    input: Any
    catalog: Catalog
    caller: Caller
    rollback: Rollback
    people: People
    resets: Resets
    events: Events
    pivots: PivotCalls
    models: ModelCalls
    children: ChildCalls
    conversations: Conversations
    verification: Verification

    @classmethod
    def assemble(
        cls,
        book: Book,
        snapshot: Snapshot,
        task_input: Any = None,
        *,
        sequential: bool = False,
        give_up: timedelta | None = None,
    ) -> Self:
        """Puts the parts of the running workflow together.

        Args:
            book: Everything the task remembers.
            snapshot: The only spec and catalog that it uses.
            task_input: See the attributes.
            sequential: Undo strictly one by one.
            give_up: How long a stuck undo waits for a person; None for as long as it takes.
        """
        catalog = snapshot.catalog
        parent = PARENT.get()
        root_key = workflow.info().first_execution_run_id if parent is None else parent.key
        book.compensations = {**catalog.compensations, **book.compensations}
        status = Status(book, search_attributes=snapshot.search_attributes)
        people = People(book, status)
        resets = Resets(book, people, snapshot.run_id)
        caller = Caller(book, root_key, resets)
        rollback = Rollback(book, caller, status, sequential=sequential, give_up=give_up)
        models = ModelCalls(book, caller)
        children = ChildCalls(book, root_key, caller.outgoing, ChildWaits(book, status))
        long = LongConversations(
            book,
            models,
            children,
            catalog,
            sequential=sequential,
            give_up=give_up,
            search_attributes=snapshot.search_attributes,
        )
        parts = cls(
            book=book,
            status=status,
            input=task_input,
            catalog=catalog,
            caller=caller,
            rollback=rollback,
            people=people,
            resets=resets,
            events=Events(book),
            pivots=PivotCalls(book, caller, people),
            models=models,
            children=children,
            conversations=Conversations(book, caller, rollback, models, catalog, root_key, long),
            verification=Verification(book, caller, models, catalog),
        )
        opened = OPENED.get()
        if opened is not None:
            opened.append(parts)
        return parts


OPENED: ContextVar[list[Parts] | None] = ContextVar("counterstep_opened", default=None)
"""The parts of each saga that the running workflow has opened."""

OPENING: ContextVar[list[object] | None] = ContextVar("counterstep_opening", default=None)
"""The saga that the running workflow is about to open, if any."""
