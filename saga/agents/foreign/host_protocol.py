"""What the host of a process agent and the workflow of its run tell each other."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ...errors import FailureType
from ...spec.process_terms import Divergence
from ..hosted_body import Dialect
from ..model_protocol import ToolSchema

HOST_UP = "host_up"
"""The update by which a host says that it is there: a `HostUp`; the answer is a `HostTerms`."""

ASK_MODEL = "ask_model"
"""The update by which a host asks a model: a `ModelQuestion`; the answer is a `HostAnswer`."""

USE_TOOL = "use_tool"
"""The update by which a host calls a tool: a `ToolUse`; the answer is a `HostAnswer`."""

DEPART = "depart"
"""The update by which a host says that the agent asks otherwise: a `Departure`; answered by a `HostTerms`."""

RECORDED = "recorded"
"""The query for the recorded answer to a request, by its key: a `HostAnswer`, or None where there is none."""

MOST_AT_ONCE = 8
"""Requests of one host under way; the server takes 10 updates of a workflow at a time."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class HostJob(_Frozen):
    """What a host is to run.

    Attributes:
        agent: The full name of the agent, by which the worker knows the command.
        attempt: Which host of this run it is, counted from 1.
        input: The agent's input; JSON.
        told: What a team, or another agent, tells it besides; None for nothing.
        feedback: What was wrong with earlier attempts.
        tools: What it may call.
        models: What it may ask, as litellm names.
        output_schema: JSON Schema of its answer; empty, or a string, for plain text.
        loose: Whether a request that differs from a recorded one in numbers, ids and paths only is the same.
    """

    agent: str
    attempt: int = Field(ge=1)
    input: Any = None
    told: dict[str, Any] | None = None
    feedback: tuple[str, ...] = ()
    tools: tuple[ToolSchema, ...] = ()
    models: tuple[str, ...] = ()
    output_schema: dict[str, Any] = {}
    loose: bool = False


class HostEnd(_Frozen):
    """What a host has to say when the process has ended well.

    Attributes:
        output: The answer, which fits its schema.
        asked: The keys of all requests of this attempt.
        loose: How many of them were recognized only by the loose match.
    """

    output: Any = None
    asked: tuple[str, ...] = ()
    loose: int = 0


class HostUp(_Frozen):
    """A host has come up.

    Attributes:
        attempt: See `HostJob`.
        queue: The task queue of this host alone, where the bodies of its requests are.
    """

    attempt: int
    queue: str


class HostTerms(_Frozen):
    """What a host has to know before it starts the process, and after each departure.

    Attributes:
        known: The keys of the requests whose answers are recorded.
        effects: Those of them whose effects stand, and that can be undone.
        on_divergence: What follows when the agent asks otherwise than before while there are such effects
            that it has not asked for again: they stay until the end, are undone at once, or the agent fails.
    """

    known: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    on_divergence: Divergence = "keep"


class ModelQuestion(_Frozen):
    """A request to a model; its body stays with the host.

    Attributes:
        attempt: Of the host that asks.
        key: Tells requests apart: a hash of what is asked, and the how manieth of its kind it is.
        model: The litellm name, one of the job's.
        dialect: How the body is written.
        input_tokens: To how many tokens what is sent comes at most.
        max_tokens: The most tokens of the answer that the body allows; None where it does not say.
    """

    attempt: int
    key: str
    model: str
    dialect: Dialect
    input_tokens: int = Field(ge=0)
    max_tokens: int | None = None


class ToolUse(_Frozen):
    """A call of a tool.

    Attributes:
        attempt: Of the host that asks.
        key: See `ModelQuestion`.
        tool: The name under which it was offered.
        arguments: JSON.
    """

    attempt: int
    key: str
    tool: str
    arguments: dict[str, Any]


class Departure(_Frozen):
    """The agent asks for something that no earlier attempt has asked for.

    Attributes:
        attempt: Of the host that says so.
        key: Of that request.
        left: The keys of the calls whose effects stand and that this attempt has not asked for so far.
    """

    attempt: int
    key: str
    left: tuple[str, ...]


class HostRefusal(_Frozen):
    """Why a request has no answer.

    Attributes:
        type: One of `FailureType`, or what a provider or a tool has failed with.
        message: For whoever reads the agent's log.
        status: As an HTTP status.
        lost: Whether the host that asked is gone, so that another one may ask again.
    """

    type: FailureType | str
    message: str
    status: int
    lost: bool = False


class HostAnswer(_Frozen):
    """What came of a request.

    Attributes:
        value: Of a model, the whole answer as its dialect writes it; of a tool, the text for the agent.
        is_error: Whether the text of a tool says why it has not done what was asked.
        refusal: Why there is no answer; None where there is one.
    """

    value: Any = None
    is_error: bool = False
    refusal: HostRefusal | None = None
