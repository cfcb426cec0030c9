"""Shows people how full limits are, and how breakers stand."""

from __future__ import annotations

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...pool_limits.report import BucketReport, LimitReport, LimitsReport
from .output import printable, say

_WIDTH = 140
_STYLES = {"closed": "green", "open": "red", "probing": "yellow"}


def print_limits(report: LimitsReport) -> None:
    """Prints the limits as a table, one row a bucket.

    Args:
        report: What is known of them.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("limit", "allows", "bucket"):
        table.add_column(heading)
    for heading in ("used", "reserved"):
        table.add_column(heading, justify="right")
    table.add_column("window ends")
    for limit in report.limits:
        rows = limit.buckets or (None,)
        for bucket in rows:
            table.add_row(
                Text(limit.name), Text(_allows(limit)), *_bucket(limit, bucket, shared=report.shared)
            )
    _print(table)


def print_breakers(report: LimitsReport) -> None:
    """Prints the breakers as a table, one row a breaker.

    Args:
        report: What is known of them.
    """
    if not report.breakers:
        say("All breakers are closed, and none has counted a failure lately.")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("breaker", "state", "failures", "one call may try at", "last failure"):
        table.add_column(heading)
    for breaker in report.breakers:
        table.add_row(
            Text(printable(breaker.name)),
            Text(breaker.state, style=_STYLES.get(breaker.state, "")),
            str(breaker.failures),
            "" if breaker.until is None else f"{breaker.until:%H:%M:%S} UTC",
            Text(" ".join(printable(breaker.reason).split())),
        )
    _print(table)


def _bucket(limit: LimitReport, bucket: BucketReport | None, *, shared: bool) -> tuple[Text | str, ...]:
    if bucket is None:
        return ("", _written(limit.unit, 0) if shared else "", "", "")
    return (
        Text(printable(bucket.bucket)),
        _written(limit.unit, bucket.used),
        _written(limit.unit, bucket.reserved) if bucket.reserved else "",
        f"{bucket.ends:%Y-%m-%d %H:%M:%S} UTC",
    )


def _allows(limit: LimitReport) -> str:
    if limit.most is None:
        return "not in this limits file"
    key = f" for each {limit.key}" if limit.key else ""
    unit = "" if limit.unit == "usd" else f" {limit.unit.replace('_', ' ')}"
    most = f"${limit.most:g}" if limit.unit == "usd" else f"{limit.most:.0f}"
    return f"{most}{unit} per {limit.per}{key}"


def _written(unit: str, amount: float) -> str:
    return f"${amount:.4f}" if unit == "usd" else f"{amount:.0f}"


def _print(table: Table) -> None:
    Console(stderr=True, width=None if sys.stderr.isatty() else _WIDTH).print(table)
