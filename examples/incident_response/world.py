"""Starts and stops the service that has the incident, and tells the fault explorer what stands."""

from __future__ import annotations

import sys

from .checkout_site import DATABASE, POOL, site
from .records import DONE

_KEYS = f"SELECT key FROM incident_operations WHERE task = :task AND state = '{DONE}'"
_TICKETS = "SELECT title FROM incident_tickets WHERE state != 'withdrawn'"


def standing(task_id: str) -> list[str]:
    """Returns the keys of what a task did and what stands, how file and processes are, and the tickets.

    It wants a service for each task (``{task}`` in ``INCIDENT_HOME``), and starts it where there is none.
    """
    where = site(task_id)
    if not where.is_set_up:
        where.set_up()
    with where.alone():
        return [
            *(row[0] for row in where.records.ask(_KEYS, task=task_id)),
            *(row[0] for row in where.records.ask(_TICKETS)),
            *where.state(),
        ]


def main(words: list[str]) -> int:
    """Starts a service that has an incident, or stops it."""
    where = site("")
    match words:
        case ["start", *cause] if cause in ([], [POOL], [DATABASE]):
            where.set_up(*cause)
            for line in where.state():
                sys.stdout.write(f"{line}\n")
        case ["stop"]:
            where.tear_down()
        case _:
            sys.stderr.write(f"Say start, start {POOL}, start {DATABASE} or stop.\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
