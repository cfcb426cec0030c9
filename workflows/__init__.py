"""Workflows, with one kind of orchestration in each file.

They run outside the SDK's sandbox, which guards code that users of the SDK write. Here the architecture tests
keep the engine deterministic (no clock, random number, environment or I/O in ``saga/`` and ``workflows/``),
and the sandbox would cost CPU time for every payload of a task (``make bench`` measures the whole).
"""

from .agent_task import AgentTask
from .any_task import AnyTask
from .conversation import LongConversation
from .join import EventJoin
from .process_agent import ProcessAgentRun
from .publish import PublishEvent
from .recovery import TaskRecovery
from .registered_task import registered_task
from .team import LongTeam

__all__ = [
    "ON_EVERY_WORKER",
    "AgentTask",
    "AnyTask",
    "EventJoin",
    "LongConversation",
    "LongTeam",
    "ProcessAgentRun",
    "PublishEvent",
    "TaskRecovery",
    "registered_task",
]

ON_EVERY_WORKER: tuple[type, ...] = (
    AgentTask,
    TaskRecovery,
    LongConversation,
    LongTeam,
    ProcessAgentRun,
    PublishEvent,
    EventJoin,
)
"""What each worker has beside the tasks of its bundles."""
