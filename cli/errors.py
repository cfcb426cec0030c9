"""How a command fails: one sentence, what to do next, and an exit code that programs can rely on."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from ..saga.errors import CounterstepError, DefinitionError, FailureType, Fault, ServerUnavailable, SpecError
from .exit_codes import ExitCode

if TYPE_CHECKING:
    from temporalio.service import RPCError


class CommandFailed(CounterstepError):
    """Raised when a command cannot do what it was asked to.

    Attributes:
        code: The exit code.
        type: The name of the failure in the output of ``--json``.
        faults: The faults one by one, when there are several.
        ids: Workflow id and run id of the task, if one had been started by then.
    """

    def __init__(
        self,
        message: str,
        *,
        code: ExitCode = ExitCode.BAD_USAGE,
        type: str = "BadUsage",
        faults: Sequence[Fault] = (),
    ) -> None:
        """Describes a failure.

        Args:
            message: One sentence that says what failed and what to do next.
            code: The exit code.
            type: The name of the failure in the output of ``--json``.
            faults: The faults one by one, when there are several.
        """
        super().__init__(message)
        self.code = code
        self.type = type
        self.faults = tuple(faults)
        self.ids: tuple[str, str] | None = None


def as_failure(error: BaseException) -> CommandFailed:
    """Says what any exception means to the user of a command."""
    if isinstance(error, CommandFailed):
        return error
    if isinstance(error, SpecError):
        return CommandFailed(str(error), type=FailureType.INVALID_SPEC, faults=error.faults)
    if isinstance(error, ServerUnavailable):
        return CommandFailed(str(error), code=ExitCode.NO_SERVER, type="ServerUnavailable")
    if isinstance(error, DefinitionError):
        return CommandFailed(_sentence(str(error)), type="DefinitionError")
    if isinstance(error, CounterstepError):
        return CommandFailed(str(error), type=type(error).__name__)
    if isinstance(error, KeyboardInterrupt):
        # Once a task has been started, signals no longer arrive as exceptions.
        message = "Interrupted; no task was started."
        return CommandFailed(message, code=ExitCode.CANCELLED, type="Interrupted")
    if isinstance(error, SystemExit):
        message = f"A bundle's code ended the program when it was loaded (exit code {error.code})."
        return CommandFailed(message, type="SystemExit")
    if isinstance(error, OSError) and error.filename is not None:
        return CommandFailed(f"{error.filename}: {error.strerror}.", type=type(error).__name__)
    if isinstance(error, OSError):
        return _of_system(error)
    # Whoever meets its error has loaded Temporal's client, though an interrupt may have cut that short.
    if isinstance(error, getattr(sys.modules.get("temporalio.service"), "RPCError", ())):
        return _of_server(cast("RPCError", error))
    message = f"This is a fault in Counterstep: {type(error).__name__}: {error}."
    return CommandFailed(message, code=ExitCode.INTERNAL, type=type(error).__name__)


def as_outcome(failure: CommandFailed, workflow_id: str = "") -> dict[str, Any]:
    """Returns what ``--json`` prints when the command itself failed, and not the task.

    Args:
        failure: Why the command failed.
        workflow_id: The task that the command was about; empty if it was not about a task.

    Returns:
        The fields of `client.outcome.Outcome`. They are built here, because importing that class is slow.
    """
    started = failure.ids is not None
    id, run_id = failure.ids or (workflow_id or None, None)
    return {
        "workflow_id": id,
        "run_id": run_id,
        "state": "running" if started else None,
        "output": None,
        "failure": {"step": "", "type": failure.type, "message": str(failure)},
        "undone": [],
        "not_undone": [],
        "usage": None,
        "forced_end": None,
        "recovery": None,
    }


def _of_system(error: OSError) -> CommandFailed:
    try:
        os.getcwd()
    except OSError:
        message = "The working directory is not there any more; change to another one."
        return CommandFailed(message, type=type(error).__name__)
    message = f"The operating system refuses: {error.strerror or error}."
    return CommandFailed(message, code=ExitCode.IO_FAILED, type=type(error).__name__)


def _of_server(error: RPCError) -> CommandFailed:
    name = error.status.name
    if name in ("INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "OUT_OF_RANGE"):
        return CommandFailed(
            f"The Temporal server refuses: {error.message.rstrip('. ')}.", type="ServerRefused"
        )
    if name in ("PERMISSION_DENIED", "UNAUTHENTICATED"):
        message = f"The Temporal server does not let you in: {error.message}. Check TEMPORAL_API_KEY and TLS."
    else:
        message = (
            f"The Temporal server does not answer ({error.message}). Whatever was started is kept there."
        )
    return CommandFailed(message, code=ExitCode.NO_SERVER, type="ServerUnavailable")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
