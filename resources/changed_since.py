"""An undo would overwrite what somebody else has done since."""

from __future__ import annotations

from temporalio.exceptions import ApplicationError

CHANGED_SINCE = "ChangedSince"


def changed_since(message: str) -> ApplicationError:
    """Makes the error with which an undo stops before it has changed anything.

    No further attempt can change it, so the task waits in ``needs_attention`` until somebody has looked.

    Args:
        message: What was found, one sentence.
    """
    return ApplicationError(message, type=CHANGED_SINCE, non_retryable=True)


def not_kept(where: str) -> ApplicationError:
    """Makes the error of an undo that finds nothing of a call which is known to have happened.

    Args:
        where: Where it would have to be, as in "below /srv".
    """
    return changed_since(
        f"the call has happened, and what was there before is not kept {where}: is this still the same "
        "place? Look at it, and say what counts"
    )
