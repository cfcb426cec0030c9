"""What a process has imported before others are forked off it; nothing here may start a thread."""

from __future__ import annotations

import importlib
import pkgutil

import counterstep.cli
import counterstep.tests.support.tasks.workers
import counterstep.worker
from counterstep.tests.support.processes.build_id import say_which_build

for module in pkgutil.walk_packages(counterstep.cli.__path__, "counterstep.cli."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
say_which_build()
