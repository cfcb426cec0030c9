"""Workflows of a user's own, with bugs, and in two versions."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from counterstep import Saga
    from counterstep.tests.support.bundles.desk import look, put


@workflow.defn
class Buggy:
    """Has a bug on its last line inside the saga, or one outside of it."""

    @workflow.run
    async def run(self, where: str) -> str:
        async with Saga() as saga:
            await saga.call(put, what="a")
            await saga.call(put, what="b")
            if where == "inside":
                raise ZeroDivisionError("a bug on the last line")
        if where == "named":
            raise ApplicationError("not what was meant", type="InvalidInput", non_retryable=True)
        raise LookupError("a bug after the saga")


class Patient:
    """Waits in its middle until it is told to go on."""

    def __init__(self) -> None:
        self.may_go_on = False

    @workflow.signal
    def go_on(self) -> None:
        self.may_go_on = True


@workflow.defn(name="Versioned")
class VersionOne(Patient):
    @workflow.run
    async def run(self) -> str:
        async with Saga() as saga:
            await saga.call(put, what="one")
            await workflow.wait_condition(lambda: self.may_go_on)
            await saga.call(look, what="two")
        return "done"


@workflow.defn(name="Versioned")
class VersionTwo(Patient):
    """A bad deploy: the same workflow with its calls in another order."""

    @workflow.run
    async def run(self) -> str:
        async with Saga() as saga:
            await saga.call(look, what="two")
            await workflow.wait_condition(lambda: self.may_go_on)
            await saga.call(put, what="one")
        return "done"


@workflow.defn
class FiveSteps:
    """The saga of the benchmark in Python; the fifth call fails where asked to."""

    @workflow.run
    async def run(self, fails: bool) -> str:
        async with Saga() as saga:
            for name in "abcde":
                await saga.call(put, what=name, fail="not_applied" if fails and name == "e" else "")
        return "done"


@workflow.defn
class Answers:
    """Has queries, updates and signals of its own, under names that tasks have as well."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @workflow.query
    def board(self) -> list[str]:
        return self.told

    @workflow.update
    def resolve(self, what: str) -> str:
        self.told.append(f"resolve {what}")
        return what

    @workflow.signal
    def event(self, what: str) -> None:
        self.told.append(f"event {what}")

    @workflow.run
    async def run(self) -> list[str]:
        async with Saga() as saga:
            await saga.call(put, what="a")
            await workflow.wait_condition(lambda: len(self.told) == 2)
        async with Saga() as saga:
            await saga.call(put, what="b")
        return self.told


@workflow.defn
class Strangers:
    """Has nothing to do with Counterstep, and a bug."""

    @workflow.run
    async def run(self) -> str:
        raise ZeroDivisionError("not ours")


@workflow.defn
class CallsUnknown:
    """Calls an activity that no worker has."""

    @workflow.run
    async def run(self) -> str:
        async with Saga() as saga:
            await saga.call(put, what="a")
            return str(await saga.call("nobody.knows_this", 1, undo="nobody.undoes_this"))


@workflow.defn
class AsksAgain:
    """Asks a model once in each of its runs, and then ends as it is told to."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> str:
        if not given["left"] and given.get("fails"):
            raise ApplicationError("no luck", type="NoLuck", non_retryable=True)
        async with Saga() as saga:
            await saga.call("team.writer", {"what": "x"})
        if given["left"]:
            workflow.continue_as_new({**given, "left": given["left"] - 1})
        await workflow.sleep(given.get("sleeps", 0))
        return "done"
