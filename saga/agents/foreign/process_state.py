"""The run of a process agent on its way into its child workflow, and back."""

from __future__ import annotations

from typing import Any

from ...children.moved import MovedAnswer, MovedState
from ...duration import Duration
from ...spec.catalog import AgentEntry, Catalog, CompensationEntry, ToolEntry
from ..assignment import Assignment
from ..conversation_state import CarriedCall

GIVEN = "given"
"""The key of the child's second argument: the agent's input."""


class ProcessState(MovedState):
    """Everything that a child needs to run a process agent.

    The input is its second argument, ``{"given": ...}``.

    Attributes:
        agent: Which.
        asked: The models that it may ask.
        tools: What it may call.
        compensations: What is declared of their undos.
        others: What the agents among its tools need; empty where there are none.
        job: What is to be done, without the input.
        timeout: The longest that one process may run.
        given: The input; None on the way.

    The others are those of `MovedState`.
    """

    agent: AgentEntry
    asked: tuple[str, ...]
    tools: tuple[ToolEntry, ...] = ()
    compensations: tuple[CompensationEntry, ...] = ()
    others: Catalog = Catalog()
    job: Assignment
    timeout: Duration
    given: Any = None


class ProcessAnswer(MovedAnswer):
    """What the child has to say in the end.

    Attributes:
        output: The answer.
        calls: The tool calls that were executed and stand.
        models: The models that took part.

    The others are those of `MovedAnswer`.
    """

    output: Any = None
    calls: tuple[CarriedCall, ...] = ()
    models: tuple[str, ...] = ()
