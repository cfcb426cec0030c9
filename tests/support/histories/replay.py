"""Replays what was recorded, and hears what is sent meanwhile."""

from __future__ import annotations

from temporalio.worker import Replayer

from counterstep.tests.support.histories.sent import Ears
from counterstep.tests.support.scenes.stage import plugin


def replayer_of(*workflows: type) -> Replayer:
    """Replays on a slow machine too: in debug mode nothing limits the time that a workflow takes to yield."""
    return Replayer(workflows=workflows, plugins=[plugin(), Ears()], debug_mode=True)
