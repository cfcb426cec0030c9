"""What the settings of a pool come to: all faults at once, and nothing loaded that nobody uses."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from counterstep.pool_limits.breakers import Breakers
from counterstep.pool_limits.memory_store import MemoryStore
from counterstep.pool_limits.pool import Pool, make_pool
from counterstep.pool_limits.rules import BreakerRules
from counterstep.pool_limits.store import BACK_SOON, End, Passage, StoreUnreachable
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


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://host:1/0?retry=yes", "an option in it (retry) does not exist"),
        ("redis://host/0?ssl_cert_reqs=none", "an option in it (ssl_cert_reqs) does not exist, or"),
        ("redis://host/0?protocol=9", "an option in it (protocol)"),
        ("redis://host/one", "the number of the database"),
        ("redis://:s3cret/word@host:1/0", "in a password, / is written %2F"),
        ("redis://:s3cret#word@host:1/0", "in a password, / is written %2F"),
        ("redis://:12/s3cret@host", "the number of the database"),
        ("redis://[::1/0", "its host or its port is not one"),
        ("redis://host:99999/0", "its host or its port is not one"),
    ],
)
def test_what_is_wrong_with_an_address_is_told_without_the_password(url: str, why: str) -> None:
    pytest.importorskip("redis")
    with pytest.raises(SpecError) as caught:
        make_pool(None, url, "ignore")
    assert why in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://host", "redis://host/", "rediss://u:p@host:1/3?ssl_cert_reqs=none", "unix:///tmp/s?db=1"]
)
def test_addresses(url: str) -> None:
    pytest.importorskip("redis")
    assert make_pool(None, url, "ignore").store.is_shared


async def test_a_store_that_is_away_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Gone(MemoryStore):
        async def ask(self, breaker: str, token: str, lease: int) -> Passage:
            asked.append(breaker)
            raise StoreUnreachable("it is gone")

        async def report(self, breaker: str, *_: Any) -> None:
            asked.append(breaker)
            raise StoreUnreachable("it is gone")

    now = 100.0
    monkeypatch.setattr("counterstep.pool_limits.breakers.time.monotonic", lambda: now)
    breakers = Breakers(BreakerRules(failures=1), Gone())
    minute = timedelta(minutes=1)
    for name in ("first", "second"):
        passage = await breakers.enter(name, minute)
        assert passage.may_pass
        await breakers.leave(name, End.BAD, passage, "503: overloaded")
    assert asked == ["first"]
    now += BACK_SOON / 1000
    assert (await breakers.enter("third", minute)).may_pass
    assert asked == ["first", "third"]


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
