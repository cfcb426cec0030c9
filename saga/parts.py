"""What every task is run with, whether it comes from a spec or from a workflow of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from temporalio import workflow

from .book import Book
from .caller import Caller
from .catalog import Catalog
from .conversation import Conversations
from .model_calls import ModelCalls
from .verification import Verification


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one running task.

    Attributes:
        book: Everything the task remembers.
        input: The task's input; None where it comes from a workflow of one's own.
        catalog: The only catalog that it uses.
        caller: Makes its calls.
        conversations: Runs its model agents.
        verification: Checks its outputs.
    """

    book: Book
    input: Any
    catalog: Catalog
    caller: Caller
    conversations: Conversations
    verification: Verification

    @classmethod
    def assemble(cls, book: Book, catalog: Catalog, task_input: Any = None) -> Self:
        """Puts the parts of the running workflow together."""
        root_key = workflow.info().first_execution_run_id
        undo_timeouts = {
            entry.name: entry.timeout for entry in catalog.compensations.values() if entry.timeout
        }
        caller = Caller(book, root_key, undo_timeouts)
        models = ModelCalls(book, caller)
        conversations = Conversations(book, caller, models, catalog, root_key)
        verification = Verification(book, caller, models, catalog)
        return cls(book, task_input, catalog, caller, conversations, verification)
