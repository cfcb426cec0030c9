"""A bundle of teams whose members have effects in an SQLite file, for the fault explorer.

What a member says depends on nothing but what its team tells it, so that every run has the same calls. Most
are Python code; two are played by a model.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel

from counterstep import Agent, Bundle, Effect, NotApplied, Undo, current_step
from counterstep.teams import Concurrent

VARIABLE = "COUNTERSTEP_TEST_GUILD"
"""Names the SQLite file; workers in other processes inherit it."""

Said = dict[str, Any]

guild = Bundle("guild")


class Opinion(BaseModel):
    """What a member that a model plays says."""

    verdict: str
    confidence: float


@contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(os.environ.get(VARIABLE, ".counterstep/guild.sqlite"), timeout=60)
    try:
        db.execute("pragma synchronous = off")
        db.execute("create table if not exists works (key text primary key, task text, who text, state text)")
        with db:
            yield db
    finally:
        db.close()


def standing(task_id: str) -> list[str]:
    """The keys of what stands of a task."""
    with _open() as db:
        rows = db.execute("select key from works where task = ? and state = 'done'", (task_id,))
        return [key for (key,) in rows.fetchall()]


def _work(who: str) -> None:
    """The effect: one row, once for each key."""
    step = current_step()
    with _open() as db:
        db.execute(
            "insert or ignore into works values (?, ?, ?, 'done')", (step.idempotency_key, step.task_id, who)
        )
        found = db.execute("select state from works where key = ?", (step.idempotency_key,)).fetchone()
    if found != ("done",):
        raise NotApplied(f"the work of {who} was taken back before")


@guild.compensation
def take_back(undo: Undo[Any]) -> None:
    """Takes work back and marks its key, so that a call that is late is refused."""
    with _open() as db:
        db.execute(
            "insert into works values (?, ?, '', 'undone') on conflict (key) do update set state = 'undone'",
            (undo.idempotency_key, undo.task_id),
        )


def _opinion(verdict: str, confidence: float = 1) -> Said:
    return {"verdict": verdict, "confidence": confidence}


def _member(who: str, team: Said | None, confidence: float) -> Said:
    """Has an opinion of its own, until it knows those of others."""
    _work(who)
    return _opinion("agreed" if team and "answers" in team else who, confidence)


@guild.agent(compensate="take_back")
def ann(what: str, team: Said | None = None) -> Said:
    """Is not sure."""
    return _member("ann", team, 0.5)


@guild.agent(compensate="take_back")
async def bob(what: str, team: Said | None = None) -> Said:
    """Is not sure either."""
    return _member("bob", team, 0.6)


@guild.agent(compensate="take_back")
def cid(what: str, team: Said | None = None) -> Said:
    """Is sure."""
    return _member("cid", team, 1)


@guild.agent(compensate="take_back")
def editor(what: str, team: Said | None = None) -> Said:
    """Makes one answer of several."""
    _work("editor")
    return _opinion("all of it")


@guild.agent(compensate="take_back")
def drafter(what: str, team: Said | None = None) -> Said:
    """Drafts, and answers every issue."""
    _work("drafter")
    if not team:
        return _opinion("first draft")
    return {"output": _opinion("next draft"), "answers": {issue["id"]: "done" for issue in team["issues"]}}


@guild.agent(effect=Effect.READ_ONLY)
def checker(what: str, team: Said | None = None) -> Said:
    """Objects to the first draft only."""
    if team and team.get("issues"):
        return {"accepted": True, "issues": []}
    return {"accepted": False, "issues": [{"id": "price", "problem": "there is no price"}]}


@guild.agent(effect=Effect.READ_ONLY)
def chair(what: str, team: Said | None = None) -> Said:
    """Chooses, plans, sorts and judges."""
    told = team or {}
    said = told.get("said", [])
    match told.get("purpose"):
        case "choose":
            return {"next": ("ann", "bob", None)[len(said)], "reason": "in turn"}
        case "plan":
            return {"facts": "none", "plan": "second" if "plan" in told else "first"}
        case "progress" if told["plan"] == "first":
            return _progress("ann", moves=not said)
        case "progress":
            return _progress(None if said else "bob")
        case "classify":
            return {"to": "bob", "confidence": 0.9, "reason": "it looks like it"}
    answers = told.get("answers")
    return answers[1] if answers else _opinion("done")


def _progress(who: str | None, *, moves: bool = True) -> Said:
    word = {"done": who is None, "progress": moves, "in_loop": False, "next": who}
    return {**word, "instruction": "go on", "reason": "so"}


@guild.tool(compensate="take_back")
def craft(what: str) -> Said:
    """Makes a thing."""
    _work(what)
    return _opinion(what)


for name in ("smith", "baker"):
    guild.add(
        Agent(
            name=name,
            description="Makes a thing.",
            instructions="Make what you are asked for.",
            model="openai/never-called",
            tools=[craft],
            output=Opinion,
        )
    )

survey = guild.add(Concurrent(name="survey", description="Asks two.", members=[bob, cid]))
