"""The trips that a browser looks at, in which window, and where their pictures go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import ViewportSize

from counterstep.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[3]

PICTURES = ROOT / ".counterstep" / "ui"
"""Where the tests leave what they have seen; `make pictures` takes the docs' pictures from here."""

WINDOW: ViewportSize = {"width": 1280, "height": 800}


@dataclass(frozen=True)
class Trips:
    """Tasks to look at.

    Attributes:
        server: Where they are.
        booked: The id of one that has completed.
        undone: Of one that has been rolled back.
        waiting: Of one that waits for an answer.
    """

    server: EmbeddedServer
    booked: str = "trip-to-rome"
    undone: str = "trip-over-budget"
    waiting: str = "trip-to-confirm"

    def url(self, workflow_id: str = "", tab: str = "") -> str:
        """The address of the list, or of a task's newest run."""
        path = f"{self.server.ui_url}/namespaces/default/workflows"
        return f"{path}/{workflow_id}{tab}" if workflow_id else path
