"""The stock worker spares the garbage collector what it has loaded."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

from counterstep import worker
from counterstep.runtime.settings import Settings


async def test_what_is_loaded_is_not_searched_for_garbage_once_the_worker_serves() -> None:
    gc.unfreeze()  # whatever was left out before
    serving: Any = SimpleNamespace(is_running=True)
    try:
        await worker._tell_when_it_polls(serving, Settings.model_construct(bundles=("shop:shop",)), {})
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
