"""Every exception that Counterstep raises.

The tree::

    CounterstepError
    ├── DefinitionError          a bundle is declared wrongly
    ├── SpecError                a task spec has faults (all of them are listed)
    ├── ExpressionError          an expression cannot be parsed or evaluated
    ├── ServerUnavailable        no Temporal server can be reached or started
    └── NotApplied               raised by a tool: certainly nothing happened

Failures *inside* a running task are no Python exceptions of this tree: they travel as Temporal
``ApplicationError`` objects whose ``type`` is one of the names in `FailureType`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class CounterstepError(Exception):
    """Base of every exception in this package."""


class DefinitionError(CounterstepError):
    """A tool, agent, validator or compensation is declared wrongly; raised when the bundle is loaded."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a spec or of a task's input.

    Attributes:
        path: Where it is, e.g. ``steps[2].input.sku``.
        message: What is wrong and what to do, one sentence.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class SpecError(CounterstepError):
    """A spec, or the input of a task, has faults; raised before anything has run.

    Attributes:
        faults: All faults that were found, in the order of the document.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Args: faults: at least one fault."""
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class ExpressionError(CounterstepError):
    """An expression does not parse, or reads what is missing or null."""


class ServerUnavailable(CounterstepError):
    """No Temporal server answers at the address, or the embedded one cannot be started."""


class NotApplied(CounterstepError):
    """Raised by a tool to say that certainly nothing happened, so that this call needs no undo."""


class FailureType(StrEnum):
    """The ``type`` of the application errors a task, or one of its calls, fails with."""

    ROLLED_BACK = "SagaRolledBack"
    ROLLBACK_INCOMPLETE = "SagaRollbackIncomplete"
    INVALID_SPEC = "InvalidSpec"
    INVALID_INPUT = "InvalidInput"
    UNKNOWN_TASK = "UnknownTask"
    UNKNOWN_ACTIVITY = "UnknownActivity"
    INLINE_SPECS_REFUSED = "InlineSpecsRefused"
    NOT_APPLIED = "NotApplied"
    INVALID_OUTPUT = "InvalidOutput"
    PAYLOAD_TOO_LARGE = "PayloadTooLarge"
    REJECTED = "Rejected"
    EXPRESSION = "ExpressionError"
    BUDGET_EXCEEDED = "BudgetExceeded"
    GAVE_UP = "GaveUp"
    TOOL_FAILED = "ToolFailed"
    CONVERSATION_TOO_LONG = "ConversationTooLong"
    DEADLINE = "DeadlineExceeded"
    UNKNOWN_NAME = "UnknownName"
    MAX_TURNS = "MaxTurnsExceeded"
    MODEL_REFUSED = "ModelRefused"
    MODEL_UNAVAILABLE = "ModelUnavailable"
    TIMEOUT = "Timeout"
    CANCELLED = "Cancelled"
    REFUSED = "Refused"
    PRECONDITION = "PreconditionFailed"
    ABANDONED = "Abandoned"
    AMENDED = "Amended"
    CHILD_ENDED = "ChildEnded"
    HISTORY_FULL = "HistoryFull"
    RESET = "Reset"
