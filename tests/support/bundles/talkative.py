"""A bundle and a workflow that log wherever one may: in calls, in threads, in workflows; keys included."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    import structlog

    from counterstep import Agent, Bundle, Effect, Saga
    from counterstep.observability.logs import configure_logs

talkative = Bundle("talkative")

logger = logging.getLogger("anybody")

PASSWORD = "correct-horse-battery"
ADDRESS = f"postgresql://trip:{PASSWORD}@database:5432/trip"


@talkative.tool(effect=Effect.READ_ONLY)
def say(what: str) -> str:
    """Logs from a thread."""
    logger.info("said %s", what)
    return what


@talkative.tool(effect=Effect.READ_ONLY)
async def sing(what: str) -> str:
    """Logs from an event loop, through structlog."""
    structlog.get_logger("somebody").info("sung", what=what)
    return what


@talkative.tool(effect=Effect.READ_ONLY)
def blab(key: str) -> str:
    """Logs a key in every way that comes to mind, and then fails with a password in its message."""
    headers = {"Authorization": f"Bearer {key}", "x-api-key": key}
    logger.warning("asking https://models.example/v1?key=%s with %s", key, headers)
    logger.warning("asking", extra={"headers": headers, "api_key": key, "tried": [key]})
    structlog.get_logger("somebody").warning("asking", password=PASSWORD, address=ADDRESS)
    raise ConnectionError(f"cannot connect to {ADDRESS}")


class Question(BaseModel):
    text: str


talkative.add(
    Agent(name="asker", description="Asks.", instructions="Ask.", model="openai/asker", input=Question)
)


@workflow.defn
class Narrator:
    """Logs before, between and after its calls, through Temporal's logger and through Python's own."""

    def __init__(self) -> None:
        self._may_end = False

    @workflow.run
    async def run(self) -> str:
        async with Saga() as saga:
            workflow.logger.info("begins")
            logger.info("begins, said to another logger")
            await saga.call(say, what="one")
            workflow.logger.info("goes on")
            await saga.call(sing, what="two")
            await workflow.wait_condition(lambda: self._may_end)
            workflow.logger.info("ends")
        return "done"

    @workflow.signal
    def end(self) -> None:
        workflow.logger.info("may end")
        self._may_end = True


@dataclass(frozen=True)
class Log:
    """What has been logged as JSON.

    Attributes:
        stream: Where it went.
    """

    stream: io.StringIO

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["event"] == event]


@contextmanager
def logging_to_json(level: str) -> Iterator[Log]:
    """Logs as a worker does, into memory; afterwards all is as it was."""
    root = logging.getLogger()
    handlers, root_level = root.handlers, root.level
    levels = {
        name: each.level for name, each in logging.root.manager.loggerDict.items() if hasattr(each, "level")
    }
    stream = io.StringIO()
    configure_logs(logging.StreamHandler(stream), json=True, level=level)
    try:
        yield Log(stream)
    finally:
        root.handlers, root.level = handlers, root_level
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        structlog.reset_defaults()
