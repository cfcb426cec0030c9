"""What a worker is given: ``counterstep worker --bundle examples.investment_research.bundle:research``."""

from __future__ import annotations

from . import agents, checks
from .tools import research

research.add_task("investment_research.yaml")

__all__ = ["agents", "checks", "research"]
