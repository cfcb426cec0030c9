"""Stands for somebody else's service, which switches features; it is down when it is told so."""

from __future__ import annotations

import os
import time

VARIABLE = "SUPPORT_FEATURES"
"""``down`` makes every switch fail, ``slow`` makes it take `SLOW_SECONDS`; anything else lets it work."""

SLOW_SECONDS = 10


def reach() -> None:
    """Waits for the service.

    Raises:
        ConnectionError: It is down.
    """
    match state():
        case "down":
            raise ConnectionError("the feature service does not answer")
        case "slow":
            time.sleep(SLOW_SECONDS)


def state() -> str:
    """Returns ``up``, ``slow`` or ``down``."""
    told = os.environ.get(VARIABLE, "")
    return told if told in ("slow", "down") else "up"
