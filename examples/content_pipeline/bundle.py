"""What a worker is given: ``counterstep worker --bundle examples.content_pipeline.bundle:content``."""

from __future__ import annotations

from . import agents, checks
from .tools import content

content.add_task("content_pipeline.yaml")

__all__ = ["agents", "checks", "content"]
