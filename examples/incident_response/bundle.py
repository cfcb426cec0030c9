"""What a worker is given: ``counterstep worker --bundle examples.incident_response.bundle:incident``."""

from __future__ import annotations

from . import agents, checks
from .tools import incident

incident.add_task("incident_response.yaml")

__all__ = ["agents", "checks", "incident"]
