"""Tasks in tasks, three levels deep, and workflows of a user's own as children."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from counterstep import Bundle, Saga
    from counterstep.tests.support.bundles.desk import hand_over, put
    from counterstep.tests.support.tasks.work import put as put_step

nest = Bundle("nest")

_INPUT = {"type": "object", "properties": {"late": {"type": "number"}, "fail": {"type": "string"}}}

nest.add_task(
    {
        "name": "inner",
        "input": _INPUT,
        "steps": [
            put_step("i1"),
            {**put_step("i2", "i1", late="${{ has(task.late) ? task.late : 0 }}"), "timeout": "6s"},
            put_step("i3", "i2", fail="${{ has(task.fail) ? task.fail : '' }}"),
        ],
        "output": {"done": "${{ steps.i3.output.what }}"},
    }
)
nest.add_task(
    {
        "name": "middle",
        "input": _INPUT,
        "steps": [
            put_step("m1"),
            {"id": "inner", "needs": ["m1"], "workflow": "nest.inner", "input": "${{ task }}"},
            put_step("m2", "inner"),
        ],
        "output": {"inner": "${{ steps.inner.output.done }}"},
    }
)
nest.add_task(
    {
        "name": "point",
        "input": _INPUT,
        "steps": [
            put_step("p1"),
            {
                "id": "p2",
                "needs": ["p1"],
                "tool": "desk.hand_over",
                "input": {"what": "p2", "late": "${{ has(task.late) ? task.late : 0 }}"},
            },
        ],
    }
)

nest.add_task(
    {
        "name": "asker",
        "steps": [
            put_step("q1", undo="broken"),
            {"id": "ok", "needs": ["q1"], "approve": {"ask": "Is it well?"}},
            {"id": "sure", "needs": ["ok"], "approve": {"ask": "Are you sure?"}},
        ],
    }
)
nest.add_task({"name": "asks", "steps": [{"id": "inner", "workflow": "nest.asker"}]})


@nest.add
@workflow.defn
class Own:
    """A workflow with a saga of its own."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[str]:
        async with Saga() as saga:
            for what in given["things"]:
                await saga.call(put, what=what)
            await workflow.sleep(timedelta(seconds=given.get("sleep", 0)))
            if given.get("bug"):
                raise ValueError("a bug inside")
        if given.get("bug_after"):
            raise ValueError("a bug after the saga")
        if given.get("deaf"):
            with suppress(asyncio.CancelledError):
                await workflow.sleep(600)
        return [str(what) for what in given["things"]]


@nest.add
@workflow.defn
class Commits:
    """A workflow that passes a pivot, and does not say so to those who start it."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> str:
        async with Saga() as saga:
            await saga.call(hand_over, what=given["what"])
        return "committed"


@workflow.defn
class Plain:
    """Has nothing to do with Counterstep."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> str:
        return str(given["word"])
