"""Counterstep: multi-agent tasks on Temporal that finish with checked output or undo what they did.

This is the authoring API. It is light: neither litellm nor a Temporal client is imported by it. Workers use
`counterstep.plugin.CounterstepPlugin`.
"""

from .bundle.agent import Agent
from .bundle.bundle import Bundle
from .bundle.current import current_step
from .saga.budget import Budget
from .saga.effect import Effect
from .saga.errors import CounterstepError, DefinitionError, NotApplied, SpecError
from .saga.saga import Saga
from .saga.undo import Retraction, Undo
from .saga.verdict import Subject, Verdict

__all__ = [
    "Agent",
    "Budget",
    "Bundle",
    "CounterstepError",
    "DefinitionError",
    "Effect",
    "NotApplied",
    "Retraction",
    "Saga",
    "SpecError",
    "Subject",
    "Undo",
    "Verdict",
    "current_step",
]
