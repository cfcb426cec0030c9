"""An embedded server that is running."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

HOST: Final = "127.0.0.1"


class EmbeddedServer(BaseModel):
    """A Temporal server that runs on this machine.

    Attributes:
        folder: The absolute path of the folder that it belongs to.
        pid: Its process id.
        port: The port of the Temporal service.
        ui_port: The port of the Web UI.
        api_port: The port of Temporal's HTTP API, which tells when the server is ready.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    pid: int
    port: int
    ui_port: int
    api_port: int

    @property
    def address(self) -> str:
        """Where Temporal clients connect: ``host:port``."""
        return f"{HOST}:{self.port}"

    @property
    def ui_url(self) -> str:
        """The address of the Web UI."""
        return f"http://{HOST}:{self.ui_port}"
