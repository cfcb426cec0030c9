"""Counterstep: multi-agent tasks on Temporal that finish with checked output or undo what they did.

This is the authoring API. It is light: neither litellm nor a Temporal client is imported by it, and each name
is loaded when it is first used. These modules are public as well, with the names in their ``__all__``:

- `counterstep.teams`: several agents that answer as one.
- `counterstep.plugin`: `CounterstepPlugin`, for workers.
- `counterstep.stock`: tools with undo that need no code.
- `counterstep.adapters.openai_agents`, `counterstep.adapters.pydantic_ai`, `counterstep.adapters.langgraph`:
  tools of a saga for agents of other frameworks.
- `counterstep.client`: for programs that start tasks.
- `counterstep.testing.explore`, ``.server``, ``.model_server`` and ``.model_behaviour``: for tests.

Everything else is private and may change at any time.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bundle.agent import Agent
    from .bundle.bundle import Bundle
    from .bundle.current_step import current_step
    from .bundle.foreign.a2a_agent import A2AAgent
    from .bundle.foreign.process_agent import ProcessAgent
    from .mcp_client.mcp_server import McpServer
    from .saga.effect import Effect
    from .saga.errors import CounterstepError, DefinitionError, NotApplied, SpecError
    from .saga.limits.budget import Budget
    from .saga.own_workflows.saga import Saga
    from .saga.own_workflows.saga_waits import Decision
    from .saga.plans.operation import Operation
    from .saga.spec.approval import Approval, Asking
    from .saga.undo import Retraction, Undo
    from .saga.verdict import Subject, Verdict
else:
    _HOMES = {
        "A2AAgent": "bundle.foreign.a2a_agent",
        "Agent": "bundle.agent",
        "Approval": "saga.spec.approval",
        "Asking": "saga.spec.approval",
        "Budget": "saga.limits.budget",
        "Bundle": "bundle.bundle",
        "CounterstepError": "saga.errors",
        "Decision": "saga.own_workflows.saga_waits",
        "DefinitionError": "saga.errors",
        "Effect": "saga.effect",
        "McpServer": "mcp_client.mcp_server",
        "NotApplied": "saga.errors",
        "Operation": "saga.plans.operation",
        "ProcessAgent": "bundle.foreign.process_agent",
        "Retraction": "saga.undo",
        "Saga": "saga.own_workflows.saga",
        "SpecError": "saga.errors",
        "Subject": "saga.verdict",
        "Undo": "saga.undo",
        "Verdict": "saga.verdict",
        "current_step": "bundle.current_step",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Not importlib.import_module: of the two, only this is seen by the sandbox of Temporal's workflows.
        home = __import__(f"{__name__}.{_HOMES[name]}", fromlist=[name])
        globals()[name] = found = getattr(home, name)
        return found

    def __dir__():
        return sorted({*globals(), *_HOMES})


__all__ = [
    "A2AAgent",
    "Agent",
    "Approval",
    "Asking",
    "Budget",
    "Bundle",
    "CounterstepError",
    "Decision",
    "DefinitionError",
    "Effect",
    "McpServer",
    "NotApplied",
    "Operation",
    "ProcessAgent",
    "Retraction",
    "Saga",
    "SpecError",
    "Subject",
    "Undo",
    "Verdict",
    "current_step",
]
