"""``counterstep limits``: how much of the pool's limits is used, and which breakers are open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..arguments.options import Json
from ..errors import CommandFailed
from ..exit_codes import ExitCode
from ..terminal.output import emit, say

if TYPE_CHECKING:
    from ...pool_limits.report import LimitsReport


def limits(json: Json = False) -> None:
    """Show the limits of the pool with what is used of them, and the circuit breakers.

    It reads the file that COUNTERSTEP_LIMITS names, whose faults it tells as a worker does when it starts,
    and the Redis of COUNTERSTEP_REDIS_URL. Without a Redis each worker counts for itself and cannot be asked.
    """
    import asyncio

    from ..terminal.limits_table import print_breakers, print_limits

    found = asyncio.run(_ask())
    if json:
        emit(found.model_dump(mode="json"))
        return
    if found.limits:
        print_limits(found)
    else:
        say("There are no limits: COUNTERSTEP_LIMITS names no file with any, and nothing is counted.")
    if found.shared:
        print_breakers(found)
        return
    say(
        "Without COUNTERSTEP_REDIS_URL each worker has limits and breakers of its own; "
        "what is used of them is known to that worker only."
    )


async def _ask() -> LimitsReport:
    from ...pool_limits.pool import make_pool
    from ...pool_limits.report import report_of
    from ...pool_limits.store import StoreUnreachable
    from ...runtime.settings import SettingsError, read_settings
    from ...saga.errors import SpecError

    settings = read_settings()
    try:
        pool = make_pool(settings.limits, settings.store, settings.unpriced_models)
    except SpecError as error:
        raise SettingsError(error.faults) from None
    try:
        return await report_of(pool)
    except StoreUnreachable as error:
        message = f"The Redis of COUNTERSTEP_REDIS_URL cannot be reached: {str(error).rstrip('. ')}."
        raise CommandFailed(message, code=ExitCode.NO_SERVER, type="StoreUnreachable") from None
    finally:
        await pool.close()
