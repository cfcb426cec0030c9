"""What a worker is given: ``counterstep worker --bundle examples.dinner.bundle:dinner``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Column, Integer, MetaData, String, Table, select

from counterstep import Bundle, Effect, Subject, Undo, Verdict, current_step

from ..database import Database, FencedKeys

dinner = Bundle("dinner")

HOME, BOS, GRANDMAS = "home", "BOS", "Grandma's"
DRIVES = {frozenset({HOME, BOS}): 60, frozenset({BOS, GRANDMAS}): 60, frozenset({HOME, GRANDMAS}): 30}
"""Minutes."""
COOKING = {"turkey": 240, "side dishes": 120}
"""Minutes for which somebody stays at home."""
DINNER = "18:00"
ENTERED, TAKEN_OUT = "entered", "taken out"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Entry(_Model):
    """What some do together, from when to when, and where; of those in a car the first one drives."""

    who: tuple[str, ...]
    what: str
    start: str
    end: str
    origin: str = HOME
    to: str = HOME


class Duty(_Model):
    """One entry of a plan, its name in every plan, and what comes before."""

    id: str
    entry: Entry
    after: tuple[str, ...] = ()


class Day(_Model):
    """A plan."""

    operations: tuple[Duty, ...]


@dinner.agent(effect=Effect.READ_ONLY)
def planner(james_lands: str) -> Day:
    """Plans by rules: the host cooks, James brings Emily from the airport, Michael fetches Grandma."""
    leave = max(james_lands, "14:30")
    fetch, back = _later("15:00", 30), _later("15:00", 60)
    duties = [
        ("turkey", (), ["host"], "turkey", _later(DINNER, -COOKING["turkey"]), DINNER, HOME, HOME),
        ("sides", (), ["host"], "side dishes", _later(DINNER, -COOKING["side dishes"]), DINNER, HOME, HOME),
        ("car", (), ["James"], "rent a car", james_lands, james_lands, BOS, BOS),
        ("from_bos", ("car",), ["James", "Emily"], "drive", leave, _later(leave, 60), BOS, HOME),
        ("fetch", (), ["Michael"], "drive", "15:00", fetch, HOME, GRANDMAS),
        ("grandma", ("fetch",), ["Michael", "Grandma"], "drive", fetch, back, GRANDMAS, HOME),
    ]
    fields = ("who", "what", "start", "end", "origin", "to")
    return Day(
        operations=tuple(
            Duty(id=id_, after=after, entry=Entry.model_validate(dict(zip(fields, entry, strict=True))))
            for id_, after, *entry in duties
        )
    )


@dinner.validator
def works(subject: Subject) -> Verdict:
    """Recomputes a plan from the facts."""
    entries = [duty.entry for duty in Day.model_validate(subject.output).operations]
    wrong = list(faults(entries, subject.input["james_lands"]))
    return (
        Verdict.reject(*wrong) if wrong else Verdict.accept(f"all are at home by {DINNER}, the food is ready")
    )


def faults(entries: Sequence[Entry], james_lands: str) -> Iterator[str]:
    """Yields what is wrong with a plan: people in two places, drives too short, food not ready."""
    at = {
        "host": (HOME, "00:00"),
        "James": (BOS, james_lands),
        "Emily": (BOS, "14:30"),
        "Michael": (HOME, "15:00"),
        "Grandma": (GRANDMAS, "00:00"),
    }
    have_cars = {"Michael"}
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.end)):
        for name in entry.who:
            place, since = at[name]
            stays = entry.origin == entry.to
            if place != entry.origin or since > entry.start:
                where = f"{name} is at {place} from {since}"
                yield f"{where}, and cannot {entry.what} at {entry.origin} {entry.start}"
            # Who stays may do two things at a place, as cooking turkey and side dishes; who drives may not.
            at[name] = (entry.to, since if stays else entry.end)
        if entry.what == "rent a car":
            have_cars.add(entry.who[0])
        if entry.what != "drive":
            continue
        if entry.who[0] not in have_cars:
            yield f"{entry.who[0]} has no car at {entry.start}"
        if _minutes(entry) < DRIVES[frozenset({entry.origin, entry.to})]:
            yield f"nobody drives from {entry.origin} to {entry.to} in {_minutes(entry)} minutes"
    yield from _oven(entries)
    for name, (place, since) in at.items():
        if place != HOME or since > DINNER:
            yield f"{name} is not at home at {DINNER}"


def _oven(entries: Sequence[Entry]) -> Iterator[str]:
    for dish, needs in COOKING.items():
        done = [e for e in entries if e.what == dish and e.origin == e.to == HOME and e.end <= DINNER]
        if not any(_minutes(entry) >= needs for entry in done):
            yield f"nobody stays at home for {needs} minutes until {DINNER} for the {dish}"
    for cook in (entry for entry in entries if entry.what in COOKING):
        away = (e for e in entries if set(e.who) & set(cook.who) and e.origin != e.to)
        yield from (
            f"{cook.who[0]} is away from the {cook.what} at {e.start}"
            for e in away
            if e.start < cook.end and e.end > cook.start
        )


def _time(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _later(clock: str, minutes: int) -> str:
    hours, rest = divmod(_time(clock) + minutes, 60)
    return f"{hours:02}:{rest:02}"


def _minutes(entry: Entry) -> int:
    return _time(entry.end) - _time(entry.start)


# --- the calendar

_metadata = MetaData()
_names = ("who", "what", "start", "end", "origin", "to")
_calendar = Table(
    "dinner_calendar",
    _metadata,
    Column("entry", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("task", String, nullable=False, index=True),
    *(Column(name, String(60)) for name in _names),
    Column("state", String(10), nullable=False),
)


def _database() -> Database:
    return Database(os.environ.get("DINNER_DB") or ".counterstep/dinner.sqlite", _metadata, lambda _: None)


def rows(task: str) -> list[dict[str, Any]]:
    """Returns the calendar of a task, oldest entry first."""
    query = select(_calendar).where(_calendar.c.task == task).order_by(_calendar.c.entry)
    with _database().begin() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


@dinner.tool(compensate="take_out")
def enter(who: tuple[str, ...], what: str, start: str, end: str, origin: str = HOME, to: str = HOME) -> str:
    """Enters something into the calendar."""
    step = current_step()
    fields = dict(zip(_names, (" and ".join(who), what, start, end, origin, to), strict=True))
    keys = FencedKeys(_database(), _calendar, ENTERED, TAKEN_OUT)
    row = keys.do({"key": step.idempotency_key, "task": step.task_id, **fields}, lambda _: None)
    return f"{row['start']} to {row['end']}: {row['who']}, {row['what']}"


@dinner.compensation
def take_out(undo: Undo[str]) -> None:
    """Takes an entry out of the calendar, and keeps a late call from entering it after all."""
    keys = FencedKeys(_database(), _calendar, ENTERED, TAKEN_OUT)
    keys.undo({"key": undo.idempotency_key, "task": undo.task_id}, lambda *_: None)


dinner.add_task("dinner.yaml")
