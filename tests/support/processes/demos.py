"""Plays the demo of an example as a user would, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from counterstep.embedded import stop

ROOT = Path(__file__).resolve().parents[3]


def play_demo(
    module: str, folder: Path, variable: str, *, players: str = "a stand-in"
) -> subprocess.CompletedProcess[str]:
    """Plays a demo without a key, and ends its server.

    Args:
        module: The module of the demo.
        folder: Where it is played.
        variable: The one that would name another database.
        players: Who plays its agents, as it has to say itself.

    Returns:
        What was printed.
    """
    own = (variable, "COUNTERSTEP_", "TEMPORAL_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment["PYTHONPATH"] = str(ROOT)
    try:
        played = subprocess.run(
            [sys.executable, "-m", module],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=250,
        )
    finally:
        stopped = stop(folder)
    assert played.returncode == 0, played.stdout + played.stderr
    assert stopped
    assert "Traceback" not in played.stdout + played.stderr
    assert players in played.stdout + played.stderr
    assert "http://127.0.0.1:" in played.stdout + played.stderr
    return played
