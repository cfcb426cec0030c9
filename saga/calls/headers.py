"""The header that travels beside the arguments of each call, and is recorded with it."""

from __future__ import annotations

from contextvars import ContextVar

from pydantic import BaseModel, ConfigDict, Field

from ..effect import Effect
from ..history_format import FORMAT_VERSION
from ..limits.payload_size import MAX_PAYLOAD
from ..limits.purse import Allotment
from ..spec.retry import Retry


class CallOwner(BaseModel):
    """The ledger entry of an agent, named by each of its model calls: it has no activity of its own.

    The agent's input is the first message of the role ``user`` in its first request.

    Attributes:
        id: The entry's id.
        key: Its idempotency key.
        compensation: What undoes it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    key: str
    compensation: str


class CallHeader(BaseModel):
    """What travels beside the arguments of a call.

    Attributes:
        version: Version of this format.
        key: The idempotency key; an undo carries its forward call's.
        step: The id of the step.
        effect: The class of the call; None for an undo.
        compensation: What undoes the call, or None.
        max_result: The most bytes that the result may have.
        retry: How long to wait between attempts; None to leave that to the server.
        names: The names by which the undo sees the arguments; None where the only argument has them.
        owner: The agent whose call it is, or None.
        ends_undone: Of a child: whether its cancelled end says that everything is undone.
        task_id: Of an undo: the task whose call it undoes, where that is not the workflow that undoes it.
        allotment: Of a child: its part of the parent's budget; None, and not sent, where that has none.
    """

    model_config = ConfigDict(frozen=True)

    version: int = FORMAT_VERSION
    key: str
    step: str
    effect: Effect | None = None
    compensation: str | None = None
    max_result: int = MAX_PAYLOAD
    retry: Retry | None = None
    names: tuple[str, ...] | None = None
    owner: CallOwner | None = None
    ends_undone: bool = False
    task_id: str | None = None
    allotment: Allotment | None = Field(default=None, exclude_if=lambda allotment: allotment is None)


CURRENT_HEADER: ContextVar[CallHeader | None] = ContextVar("counterstep_call_header", default=None)
"""Set around the scheduling of one activity; the workflow's outbound interceptor sends it."""


PARENT: ContextVar[CallHeader | None] = ContextVar("counterstep_parent", default=None)
"""The call of the parent that has started the running workflow; None where no saga has."""
