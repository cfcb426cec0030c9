"""Workflows, one orchestration shape a file.

They run outside the SDK's sandbox. It guards code that its users write; the engine's determinism is kept by
the architecture tests (no clock, random, environment or I/O in ``saga/`` and ``workflows/``), and the sandbox
would cost worker CPU time for every payload of a task (``make bench`` shows the whole).
"""

from .agent_task import AgentTask
from .conversation import LongConversation
from .recovery import TaskRecovery
from .registered_task import RegisteredTask

__all__ = ["AgentTask", "LongConversation", "RegisteredTask", "TaskRecovery"]
