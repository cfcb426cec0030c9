"""Records what really happened in explored runs, in an SQLite file that the workers write."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .fault import FaultKind, PlannedFault, Role

_TABLES = """
pragma journal_mode = wal;
create table plans (run text primary key, point text, kind text);
create table gates (run text primary key, opened integer);
create table visits (
    id integer primary key, run text, point text, activity text, role text, key text, step text,
    compensation text, attempt integer, pid integer, input text
);
create table moments (seq integer primary key, at real, visit integer, what text, output text);
create index visits_of_run on visits (run);
create index moments_of_visit on moments (visit);
"""


@dataclass(frozen=True, slots=True)
class Visit:
    """One attempt of one activity, as the worker that ran it has seen it.

    The moments are numbers of one sequence for all runs and processes; a smaller number was earlier.

    Attributes:
        point: The activity id.
        activity: The activity type.
        role: Read, effect or undo.
        key: The idempotency key; an undo has the key of its call.
        step: The id of the step.
        compensation: What undoes the call, or None.
        attempt: 1 for the first.
        pid: The worker's process id.
        input: The activity's first argument; JSON.
        began: When it reached the worker.
        entered: When the user's function was called; None where a fault came first.
        ended: When the function had ended; None where the process died first.
        outcome: ``done`` (it returned), ``failed`` (it raised) or ``refused`` (it says that certainly nothing
            happened); None as above.
        output: What it returned; JSON.
        faulty: Whether the explorer broke this attempt.
    """

    point: str
    activity: str
    role: Role
    key: str
    step: str
    compensation: str | None
    attempt: int
    pid: int
    input: Any
    began: int
    entered: int | None = None
    ended: int | None = None
    outcome: str | None = None
    output: Any = None
    faulty: bool = False


class EffectLedger:
    """The file: it holds the faults that are planned, what the workers did, and gates at which calls wait."""

    def __init__(self, path: Path) -> None:
        """Opens the file; see `create`."""
        self._db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        # It has to outlive a killed process, not a machine that loses its power.
        self._db.execute("pragma synchronous = off")

    @classmethod
    def create(cls, path: Path) -> EffectLedger:
        """Makes a new file."""
        ledger = cls(path)
        ledger._db.executescript(_TABLES)
        return ledger

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    # --- what is to be broken

    def plan(self, run: str, fault: PlannedFault) -> None:
        """Says what is to be broken in a run."""
        self._db.execute("insert into plans values (?, ?, ?)", (run, fault.point, fault.kind.value))

    def planned(self, run: str, point: str) -> FaultKind | None:
        """Returns how this point of a run is to be broken."""
        row = self._db.execute("select kind from plans where run = ? and point = ?", (run, point)).fetchone()
        return None if row is None else FaultKind(row[0])

    # --- what happens

    def begin(
        self,
        run: str,
        point: str,
        *,
        activity: str,
        role: Role,
        key: str,
        step: str,
        compensation: str | None,
        attempt: int,
        input: Any,
    ) -> int:
        """Writes down that an attempt has reached a worker; returns the number of the visit."""
        row = self._db.execute(
            "insert into visits (run, point, activity, role, key, step, compensation, attempt, pid, input) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id",
            (run, point, activity, role.value, key, step, compensation, attempt, os.getpid(), _text(input)),
        ).fetchone()
        visit = int(row[0])
        self.mark(visit, "began")
        return visit

    def mark(self, visit: int, what: str, output: Any = None) -> None:
        """Writes down the next moment of a visit: ``entered``, ``fault``, or an outcome."""
        self._db.execute(
            "insert into moments (at, visit, what, output) values (?, ?, ?, ?)",
            (time.time(), visit, what, _text(output)),
        )

    def is_broken(self, run: str) -> bool:
        """Says whether the fault of a run has happened."""
        query = "select 1 from visits v join moments m on m.visit = v.id where v.run = ? and m.what = 'fault'"
        return self._db.execute(query, (run,)).fetchone() is not None

    def visits(self, run: str) -> list[Visit]:
        """Returns what happened in a run, in the order in which it began."""
        moments: dict[int, dict[str, tuple[int, Any]]] = {}
        rows = self._db.execute(
            "select m.visit, m.what, m.seq, m.output from moments m join visits v on v.id = m.visit "
            "where v.run = ? order by m.seq",
            (run,),
        )
        for visit, what, seq, output in rows:
            moments.setdefault(visit, {})[what] = (seq, output)
        found = self._db.execute(
            "select id, point, activity, role, key, step, compensation, attempt, pid, input from visits "
            "where run = ? order by id",
            (run,),
        )
        return [_visit(row[1:], moments[row[0]]) for row in found.fetchall()]

    # --- gates: a call waits for the explorer

    def wait_at_gate(self, run: str) -> None:
        """Says that a call of the run waits."""
        self._db.execute("insert or ignore into gates values (?, 0)", (run,))

    def gate(self, run: str) -> bool | None:
        """Returns whether the gate of a run is open; None where nobody waits at it yet."""
        row = self._db.execute("select opened from gates where run = ?", (run,)).fetchone()
        return None if row is None else bool(row[0])

    def open_gate(self, run: str) -> None:
        """Lets the call go on."""
        self._db.execute("update gates set opened = 1 where run = ?", (run,))


def _visit(row: Any, moments: dict[str, tuple[int, Any]]) -> Visit:
    point, activity, role, key, step, compensation, attempt, pid, argument = row
    outcome = next((what for what in ("done", "failed", "refused") if what in moments), None)
    ended, output = moments[outcome] if outcome else (None, None)
    return Visit(
        point=point,
        activity=activity,
        role=Role(role),
        key=key,
        step=step,
        compensation=compensation,
        attempt=attempt,
        pid=pid,
        input=json.loads(argument),
        began=moments["began"][0],
        entered=moments["entered"][0] if "entered" in moments else None,
        ended=ended,
        outcome=outcome,
        output=None if output is None else json.loads(output),
        faulty="fault" in moments,
    )


def _text(value: Any) -> str:
    return json.dumps(value)
