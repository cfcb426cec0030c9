"""What the settings of a pool come to: all faults at once, and nothing loaded that nobody uses."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from counterstep.pool_limits.breakers import Breakers
from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.pool_limits.pool import Pool, make_pool
from counterstep.pool_limits.rules import BreakerRules
from counterstep.pool_limits.store import End
from counterstep.saga.errors import SpecError


def loaded(*lines: str) -> str:
    """What a program prints that has done this."""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_without_a_redis_nothing_of_it_is_loaded() -> None:
    plugin = "from counterstep.plugin import CounterstepPlugin; CounterstepPlugin()"
    assert loaded("import sys", plugin, "print('redis' in sys.modules)") == "False"


def test_without_its_package_a_redis_is_refused_with_what_to_install() -> None:
    said = loaded(
        "import sys; sys.modules['redis'] = None",
        "from counterstep.pool_limits.pool import make_pool",
        "try: make_pool(None, 'redis://127.0.0.1/0', 'ignore')",
        "except Exception as error: print(error)",
    )
    assert said == "COUNTERSTEP_REDIS_URL: needs a package: pip install 'counterstep[redis]'"


def test_all_settings_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        make_pool(tmp_path / "none.yaml", "http://redis", "sometimes")
    told = [fault.path for fault in caught.value.faults]
    assert told == [str(tmp_path / "none.yaml"), "COUNTERSTEP_REDIS_URL", "COUNTERSTEP_UNPRICED_MODELS"]


async def test_who_counts_alone_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "counterstep.pool")
    await Pool().open()
    assert caplog.messages == []
    (tmp_path / "limits.yaml").write_text("- {name: day, usd: 1, per: 1d}\n")
    await make_pool(tmp_path / "limits.yaml", None, "ignore").open()
    (said,) = caplog.messages
    assert "limits (day) and breakers are counted by this process alone" in said
    assert "COUNTERSTEP_REDIS_URL" in said


async def test_changes_of_a_breaker_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "counterstep.pool")
    now = 1_000_000
    breakers = Breakers(BreakerRules(failures=1), MemoryStore(lambda: now))
    minute = timedelta(minutes=1)
    await breakers.leave("m", End.BAD, await breakers.enter("m", minute), "503: overloaded")
    now += 30_000
    probe = await breakers.enter("m", minute)
    await breakers.leave("m", End.GOOD, probe)
    assert caplog.messages == [
        "breaker of m opened: it is left alone for 30s; 503: overloaded",
        "breaker of m: one call tries whether it is well again",
        "breaker of m closed: it is well again",
    ]
