"""How a worker logs: every record of every library in one format."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TextIO

import structlog
from structlog.typing import Processor
from temporalio import activity, workflow

_CHATTY = ("httpx", "httpcore", "openai", "LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
"""Libraries that log each request at the level info."""


def configure_logs(stream: TextIO, *, json: bool, level: str) -> None:
    """Sends the logs of this process to one stream, one line a record.

    Args:
        stream: Where they go.
        json: As JSON objects rather than for people.
        level: The least level that is logged: debug, info, warning or error.
    """
    numeric = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(json=json, colors=stream.isatty()))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(numeric)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(numeric if numeric < logging.INFO else max(numeric, logging.WARNING))
    # Which workflow and activity a record belongs to is a field of its own, not part of its text.
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False


def drop_other_handlers() -> None:
    """Takes back what libraries set up for themselves when they were imported (litellm does)."""
    for name in _CHATTY:
        logging.getLogger(name).handlers.clear()


def _formatter(*, json: bool, colors: bool) -> logging.Formatter:
    shared: Sequence[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _without_internals,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Tracebacks stay plain: those with local variables would print keys and customers' data.
    last: Sequence[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
        if json
        else [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _without_internals(
    logger: structlog.typing.WrappedLogger, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return {name: value for name, value in event.items() if name != "temporal_log" and name[:2] != "__"}
