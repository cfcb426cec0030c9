"""`counterstep limits` shows what is used; a worker refuses limits that it cannot use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from counterstep.pool_limits.pool import make_pool
from counterstep.pool_limits.store import End
from counterstep.saga.limits.usage import CallUsage
from counterstep.tests.support.processes.command import Shop
from counterstep.tests.support.processes.redis import RedisServer

LIMITS = """
limits:
  - {name: tenant_day, key: task.tenant, usd: 5, per: 1d}
  - {name: starts, tasks: 100, per: 1d}
"""
MOST = CallUsage(model_calls=1, input_tokens=5, output_tokens=5, usd=1.5)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


async def use(folder: Path, url: str) -> None:
    """Two calls of acme, of which one has ended, a task, and five failures of a model."""
    pool = make_pool(folder / "limits.yaml", url, "ignore")
    scope = {"task": {"tenant": "acme"}, "agent": {"name": "a", "model": "openai/x", "provider": "openai"}}
    minute = timedelta(minutes=1)
    for call in ("one", "two"):
        assert await pool.limits.reserve(call, scope, MOST, minute) is None
    await pool.limits.settle("one", MOST.model_copy(update={"usd": 0.125}))
    assert await pool.limits.take_task("run", {"tenant": "acme"}) is None
    for _ in range(5):
        passage = await pool.breakers.enter("openai/x", minute)
        await pool.breakers.leave("openai/x", End.BAD, passage, "503: overloaded")
    await pool.close()


async def test_what_is_used_is_shown(redis: RedisServer, tmp_path: Path) -> None:
    shop = Shop.open(tmp_path, COUNTERSTEP_LIMITS="limits.yaml", COUNTERSTEP_REDIS_URL=redis.url)
    (tmp_path / "limits.yaml").write_text(LIMITS)
    await use(tmp_path, redis.url)
    told = shop.run("limits", "--json").json
    tenants, starts = told["limits"]
    assert told["shared"] is True
    assert (tenants["unit"], tenants["most"], tenants["per"], tenants["key"]) == (
        "usd",
        5,
        "1d",
        "task.tenant",
    )
    (acme,) = tenants["buckets"]
    midnight = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert (acme["bucket"], acme["used"], acme["reserved"]) == ("acme", 1.625, 1.5)
    assert datetime.fromisoformat(acme["ends"]) == midnight
    assert [(bucket["bucket"], bucket["used"]) for bucket in starts["buckets"]] == [("", 1)]
    (breaker,) = told["breakers"]
    assert (breaker["name"], breaker["state"], breaker["failures"]) == ("openai/x", "open", 5)
    assert breaker["reason"] == "503: overloaded"
    assert datetime.fromisoformat(breaker["until"]) > datetime.now(UTC)

    shown = shop.run("limits")
    assert shown.code == 0
    for part in (
        "$5 per 1d for each task.tenant",
        "acme",
        "$1.6250",
        "$1.5000",
        "openai/x",
        "open",
        "overloaded",
    ):
        assert part in shown.err


def test_without_a_redis_it_says_that_each_worker_has_its_own(tmp_path: Path) -> None:
    shop = Shop.open(tmp_path, COUNTERSTEP_LIMITS="limits.yaml")
    (tmp_path / "limits.yaml").write_text(LIMITS)
    done = shop.run("limits")
    assert (done.code, "$5 per 1d" in done.err, "each worker has limits" in done.err) == (0, True, True)
    told = shop.run("limits", "--json").json
    assert told["shared"] is False
    assert [limit["name"] for limit in told["limits"]] == ["tenant_day", "starts"]
    schema = shop.run("schema", "--limits").json
    assert schema["title"] == "A limits file"


def test_a_worker_tells_everything_at_once_and_so_does_the_command(tmp_path: Path) -> None:
    shop = Shop.open(
        tmp_path,
        COUNTERSTEP_BUNDLES="shop:shop",
        COUNTERSTEP_LIMITS="limits.yaml",
        COUNTERSTEP_REDIS_URL="redis://127.0.0.1:1/0",
        TEMPORAL_ADDRESS="127.0.0.1:1",
    )
    bad = LIMITS.replace("task.tenant", "task.tenant +").replace("tasks: 100", "tasks: 1, usd: 1")
    (tmp_path / "limits.yaml").write_text(f"{bad}breakers: {{tools: [shop.reserv]}}\n")
    done = shop.run("worker")
    assert done.code == 2
    for part in (
        "limits.yaml: limits[0].key: 'task.tenant +' does not parse",
        "(line 3, column 24)",
        "limits.yaml: limits[1]: has usd and tasks; a limit has exactly one of",
        "limits.yaml: breakers.tools[0]: there is no tool 'shop.reserv'; did you mean 'shop.reserve'?",
        "COUNTERSTEP_REDIS_URL: the store of limits cannot be reached",
    ):
        assert part in done.err
    assert len(done.err.strip().splitlines()) == 4
    (tmp_path / "limits.yaml").write_text(LIMITS)
    done = shop.run("worker")
    assert (done.code, len(done.err.strip().splitlines())) == (2, 1)
    assert "COUNTERSTEP_REDIS_URL: the store of limits cannot be reached" in done.err
    done = shop.run("run", "order.yaml", "--bundle", "shop:shop", "--input", "sku=A")
    assert (done.code, "COUNTERSTEP_REDIS_URL: the store of limits cannot be reached" in done.err) == (
        2,
        True,
    )
    (tmp_path / "limits.yaml").write_text(bad)
    done = shop.run("limits")
    assert (done.code, "does not parse" in done.err, "exactly one of" in done.err) == (2, True, True)
    (tmp_path / "limits.yaml").write_text(LIMITS)
    done = shop.run("limits")
    assert (done.code, "cannot be reached" in done.err) == (4, True)
