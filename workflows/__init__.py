"""Workflows, with one kind of orchestration in each file.

They run outside the SDK's sandbox, which guards code that users of the SDK write. Here the architecture tests
keep the engine deterministic (no clock, random number, environment or I/O in ``saga/`` and ``workflows/``),
and the sandbox would cost CPU time for every payload of a task (``make bench`` measures the whole).
"""

from .agent_task import AgentTask
from .any_task import AnyTask
from .conversation import LongConversation
from .recovery import TaskRecovery
from .registered_task import registered_task
from .team import LongTeam

__all__ = ["AgentTask", "AnyTask", "LongConversation", "LongTeam", "TaskRecovery", "registered_task"]
