"""Errors that are hard to carry, from a tool with an effect and from a workflow that has called one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from counterstep import Bundle, Saga, Undo
    from counterstep.tests.support.bundles.desk import Placed, put, take_back

rough = Bundle("rough")


class Mute(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


Wordless = type("Wordless", (Exception,), {"__str__": lambda error: b"bytes"})
"""An error whose text is none."""


class Problems(Exception):
    """An error that is false."""

    def __bool__(self) -> bool:
        return False


class Cancelled(Exception):
    """What some library calls its own error; it has the name of one of ours."""


class Rejected(Exception):
    """Another one."""


def caused_by(cause: BaseException) -> BaseException:
    error = ValueError("it did not work")
    error.__cause__ = cause
    return error


def after_many(count: int) -> BaseException:
    """What a loop ends with that has tried again in its own ``except``."""
    error = ValueError("it did not work")
    link: BaseException = error
    for number in range(count):
        link.__context__ = ValueError(str(number))
        link = link.__context__
    return error


ERRORS: dict[str, Callable[[], BaseException]] = {
    "mute": Mute,
    "wordless": lambda: Wordless(),
    "half": lambda: ValueError("half \ud800"),
    "huge": lambda: ValueError("x" * 3_000_000),
    "caused by mute": lambda: caused_by(Mute()),
    "caused by half": lambda: caused_by(ApplicationError("half \ud800", type="Half")),
    "caused by false": lambda: caused_by(Problems("404")),
    "caused by unwritable": lambda: caused_by(ApplicationError("no", object(), type="No")),
    "after many": lambda: after_many(500),
    "group of mute": lambda: ExceptionGroup("1 error", [Mute()]),
    "cancelled": lambda: Cancelled("the bank says so"),
    "rejected": lambda: Rejected("the bank says so"),
    "final": lambda: ApplicationError("no", object(), type="No", non_retryable=True),
}
"""By name, how to make one."""


@rough.tool(compensate="withdraw")
async def fail(what: str) -> Placed:
    """Puts a thing on the desk, and fails."""
    put(what)
    raise ERRORS[what]()


@rough.compensation
def withdraw(undo: Undo[Placed]) -> None:
    """Takes the thing off again."""
    take_back(undo)


@rough.tool(compensate="withdraw")
def place(what: str) -> Placed:
    """Puts a thing on the desk."""
    return put(what)


@workflow.defn
class Rough:
    """Puts a thing on the desk, and fails inside of its saga."""

    @workflow.run
    async def run(self, what: str) -> Any:
        async with Saga() as saga:
            await saga.call(place, what=what)
            raise ERRORS[what]()


rough.add(Rough)
