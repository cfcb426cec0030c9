"""Workflows, one orchestration shape a file."""

from .agent_task import AgentTask
from .registered_task import RegisteredTask

__all__ = ["AgentTask", "RegisteredTask"]
