"""What a worker is given: ``counterstep worker --bundle examples.support_desk.bundle:support``."""

from __future__ import annotations

from . import agents, checks
from .tools import support

support.add_task("support_desk.yaml")

__all__ = ["agents", "checks", "support"]
