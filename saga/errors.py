"""The exceptions of Counterstep, all in one tree, and the names of what a task may fail with.

What users catch::

    CounterstepError
    ├── DefinitionError             a bundle is declared wrongly, or used where that is not possible
    ├── SpecError                   a spec, or the input of a task, has faults; all of them are listed
    ├── ExpressionError             an expression cannot be parsed or evaluated
    ├── NotApplied                  raised by a tool: certainly nothing happened
    ├── ServerUnavailable           no Temporal server answers, or none can be started
    ├── SettingsError               environment variables cannot be used; all of them are listed
    ├── PayloadUnreadable           what the server keeps is encoded, and cannot be decoded here
    ├── IdInUse                     the id belongs to a task of another type or with another input
    ├── UnknownTask                 there is no task of this id
    ├── NoWorker                    no worker asks the queue for work
    │   └── NoAnswer                the workers of the queue do not answer
    ├── Refused                     a task does not take what it was told
    ├── NotForkable                 no task can be forked there, and why
    ├── TaskEnded                   a task that has ended was told something
    ├── TaskFailed                  how a task ended, if not well
    │   ├── TaskRefused             it was refused before anything had run
    │   ├── TaskRolledBack          everything that it did is undone
    │   ├── TaskCancelled           it was cancelled, and everything that it did is undone
    │   └── TaskRollbackIncomplete  something that it did still stands
    ├── SearchAttributesMissing     the namespace cannot find tasks by their state
    ├── EventRefused                an event was not taken, and why; its `type` is one of `FailureType`
    ├── NotRecoverable              nothing may be undone from history, and why
    └── NotExplorable               a task cannot be explored, and why

What stays inside::

    CounterstepError
    ├── Failed                      carries a failure up to the place that decides what follows
    │   ├── Stopped                 a call was not made, or was interrupted: its scope was stopped
    │   └── RetryFromStep           the task goes back to a step
    ├── LeftToOthers                another worker of the queue is to go on with the task
    ├── LedgerError                 a transition that the ledger does not know: a bug of ours
    ├── OperationRefused            values that do not fit an operation of an expression
    ├── StoreUnreachable            what keeps the limits of the pool does not answer
    ├── McpServerGone               an MCP server has not started, cannot be reached, or has ended
    ├── RemoteAgentAway             an agent elsewhere does not answer
    ├── RemoteAgentRefused          an agent elsewhere cannot be asked, and why
    ├── RemoteAgentFailed           an agent elsewhere has refused a request
    ├── UnknownWhetherSent          an agent elsewhere may have been asked, and not twice
    ├── RequestRefused              a request of a process agent is not taken
    ├── CommandFailed               a command cannot do what it was asked to
    ├── InjectedFault               what the fault explorer makes a call fail with
    └── WorkersLost                 the workers of the fault explorer have ended

`CallFailed`, which ``Saga.call`` raises in a workflow, is one of Temporal's ``ApplicationError``: a workflow
has to end with one of those. So is `Untraced`, as which a task ends, and a call that our own code refuses.
Other processes see the failures of a running task in the same way, with a ``type`` that is one of
`FailureType`.
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
        line: Its line in the file, counted from 1; None where it is not known, or there is no file.
        column: Its column there, likewise.
    """

    path: str
    message: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        if self.line is None or self.path.endswith(f":{self.line}:{self.column}"):
            return text
        return f"{text} (line {self.line}, column {self.column})"


class SpecError(CounterstepError):
    """A spec, or the input of a task, has faults; raised before anything has run.

    Attributes:
        faults: All faults that were found, in the order of the document.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Lists faults.

        Args:
            faults: At least one.
        """
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class ExpressionError(CounterstepError):
    """An expression does not parse, or reads what is missing or null.

    Attributes:
        unknown: The variable that it reads and that never exists; empty where something else is wrong.
    """

    def __init__(self, message: str, *, unknown: str = "") -> None:
        """Describes the error.

        Args:
            message: What is wrong.
            unknown: The variable that never exists.
        """
        super().__init__(message)
        self.unknown = unknown


class ServerUnavailable(CounterstepError):
    """No Temporal server answers at the address, or the embedded one cannot be started."""


class NotApplied(CounterstepError):
    """Raised by a tool to say that certainly nothing happened, so that this call needs no undo."""


class FailureType(StrEnum):
    """The ``type`` of the application errors a task, or one of its calls, fails with."""

    ROLLED_BACK = "SagaRolledBack"
    """How a task fails whose undos have all run; its details say why, and what was undone."""
    ROLLBACK_INCOMPLETE = "SagaRollbackIncomplete"
    """How a task fails that has left an undo open: it was skipped, or given up after a while."""
    INVALID_SPEC = "InvalidSpec"
    """The spec has faults, all of which are named; nothing has run."""
    INVALID_INPUT = "InvalidInput"
    """An input or an argument does not fit what it is for; what it was for has not run."""
    UNKNOWN_TASK = "UnknownTask"
    """The workers have no task of this name; nothing has run."""
    UNKNOWN_ACTIVITY = "UnknownActivity"
    """For 30 s no worker of the queue has known what was to be called."""
    UNKNOWN_TOPIC = "UnknownTopic"
    """No start rule of the workers takes events of this topic; nothing was started."""
    TOO_MANY_HOPS = "TooManyHops"
    """An event was published by a task that too many events in a row had led to, as in a loop."""
    INLINE_SPECS_REFUSED = "InlineSpecsRefused"
    """The workers take no specs from callers; nothing has run."""
    NOT_APPLIED = "NotApplied"
    """The tool has said that certainly nothing happened."""
    INVALID_OUTPUT = "InvalidOutput"
    """What a function returned, or a model answered once too often, does not fit its type."""
    PAYLOAD_TOO_LARGE = "PayloadTooLarge"
    """An argument, a result or an output is larger than 1 MB, or leaves no room for its undo."""
    REJECTED = "Rejected"
    """A validator, a judge or a person has said no."""
    APPROVAL_DENIED = "ApprovalDenied"
    """A person has not allowed a call; it was not made."""
    APPROVAL_EXPIRED = "ApprovalExpired"
    """Nobody has said in time whether a call is allowed; it was not made."""
    EXPRESSION = "ExpressionError"
    """An expression or a template reads what is missing or null, or cannot be evaluated."""
    BUDGET_EXCEEDED = "BudgetExceeded"
    """The task, the step or the agent may not make another call: its budget does not allow it."""
    LIMIT_REACHED = "LimitReached"
    """A limit that all tasks of the pool share allows no more for now; nothing was sent or done."""
    BREAKER_OPEN = "BreakerOpen"
    """The circuit breaker of a model or tool is open: it is left alone for now; nothing was sent or done."""
    GAVE_UP = "GaveUp"
    """A model agent has said that it cannot do its job."""
    TOOL_FAILED = "ToolFailed"
    """A model agent has called its tools wrongly, or they have failed, too often."""
    MCP_FAILED = "McpFailed"
    """An MCP server has answered a call with an error, or has ended in the middle of it."""
    PROCESS_NOT_STARTED = "ProcessNotStarted"
    """The command of a process agent is not there, may not be run, or its gateway cannot be opened."""
    PROCESS_FAILED = "ProcessFailed"
    """A process agent has ended with an error, without an answer that fits, or too often."""
    HOST_GONE = "HostGone"
    """The worker that ran a process agent stops, or has vanished; another one goes on."""
    STALE_HOST = "StaleHost"
    """A process agent was started again, and this request is from the process before."""
    RUN_OVER = "RunOver"
    """A process agent asks for something after the end of its run: it was cancelled, or has failed."""
    DIVERGED = "Diverged"
    """A process agent that was started again asks otherwise than before, and may not."""
    A2A_FAILED = "A2aFailed"
    """An agent elsewhere has failed, does not answer, cannot be asked, or wants to know more."""
    CONVERSATION_TOO_LONG = "ConversationTooLong"
    """The conversation of a model agent, or what its tools did, has grown too large."""
    DEADLINE = "DeadlineExceeded"
    """The task has not ended within its `deadline`."""
    UNKNOWN_NAME = "UnknownName"
    """The computed name of an agent or tool is none that it may be."""
    MAX_TURNS = "MaxTurnsExceeded"
    """A model agent has not answered within its turns."""
    CAP_REACHED = "CapReached"
    """A team has reached a limit of its own, e.g. its rounds or its turns, and has no answer."""
    LOOP_DETECTED = "LoopDetected"
    """An agent makes the same call again and again, or too many at once, or agents hand over in a circle."""
    NO_AGREEMENT = "NoAgreement"
    """The members of a team do not agree, and there is nobody who decides."""
    TEAM_FAILED = "TeamFailed"
    """Too many members of a team have failed, or have answered nonsense too often."""
    MODEL_REFUSED = "ModelRefused"
    """No model of the chain takes the request, and none will later: a key, a name, a too long prompt."""
    MODEL_UNAVAILABLE = "ModelUnavailable"
    """No model of the chain has answered in spite of all retries."""
    TIMEOUT = "Timeout"
    """A call, a child or an event has taken too long, or a worker has vanished."""
    CANCELLED = "Cancelled"
    """Somebody has cancelled the task."""
    REFUSED = "Refused"
    """A decision that makes no sense here; the task goes on as if nobody had said it."""
    PRECONDITION = "PreconditionFailed"
    """The `precondition` of a step is false."""
    ABANDONED = "Abandoned"
    """A call that the workflow went on without cannot be undone."""
    AMENDED = "Amended"
    """New facts have made steps run again; no task fails with it."""
    CHILD_ENDED = "ChildEnded"
    """A child was not started, or somebody else has cancelled it or ended it by force."""
    HISTORY_FULL = "HistoryFull"
    """The history has room left for the undos only."""
    RESET = "Reset"
    """After a reset somebody has chosen to roll back."""


NO_WAY_ON = frozenset({FailureType.BUDGET_EXCEEDED, FailureType.HISTORY_FULL})
"""After these, whoever has called what failed cannot go on either: there is nothing left to go on with."""
