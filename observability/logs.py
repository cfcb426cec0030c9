"""The logs of a worker: all libraries in one format, each record with its place, and without keys."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger
from temporalio import activity, workflow

from ..bundle.current_step import CURRENT_STEP
from .redaction import REDACTED, names_a_secret, redacted

try:
    from opentelemetry import trace
except ImportError:
    _HAS_TRACES = False
else:
    _HAS_TRACES = True

_CHATTY = ("httpx", "httpcore", "openai", "LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
"""Libraries that log each request at the level info."""


def configure_logs(handler: logging.StreamHandler[Any], *, json: bool, level: str) -> None:
    """Sends the logs of this process to one place, with one line for each record.

    A record that is made inside a call or a workflow has the fields ``workflow_id``, ``run_id``, ``attempt``,
    ``workflow`` or ``activity`` (the type), and ``step`` inside a call of a task; under OpenTelemetry also
    ``trace_id``. What a workflow logs while its history is replayed is left out, whichever logger it uses.

    Args:
        handler: The handler that writes the lines.
        json: Whether to write JSON objects instead of lines for people.
        level: The lowest level that is logged: debug, info, warning or error.
    """
    numeric = logging.getLevelNamesMapping()[level.upper()]
    handler.addFilter(_is_new)
    handler.setFormatter(_formatter(json=json, colors=handler.stream.isatty()))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(numeric)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(numeric if numeric < logging.INFO else max(numeric, logging.WARNING))
    # Users may log with structlog itself: its records go the same way.
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    # Which workflow and activity a record belongs to is a field of its own, not part of its text.
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False


def drop_other_handlers() -> None:
    """Removes the handlers that libraries such as litellm add when they are imported."""
    for name in _CHATTY:
        logging.getLogger(name).handlers.clear()


def _is_new(record: logging.LogRecord) -> bool:
    return not (workflow.in_workflow() and workflow.unsafe.is_replaying_history_events())


def _formatter(*, json: bool, colors: bool) -> logging.Formatter:
    last = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=colors)
    processors: Sequence[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.contextvars.merge_contextvars,
        _with_place,
        _with_trace,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Tracebacks stay plain: those with local variables would print keys and customers' data.
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _without_secrets,
        last,
    ]
    return structlog.stdlib.ProcessorFormatter(processors=processors)


def _with_place(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Adds fields for the place of a record, and drops the SDK's own fields, which hold the same."""
    kept = {name: value for name, value in event.items() if not name.startswith(("temporal_", "_"))}
    place: dict[str, object] = {}
    if activity.in_activity():
        call = activity.info()
        place = {
            "workflow_id": call.workflow_id,
            "run_id": call.workflow_run_id,
            "activity": call.activity_type,
            "attempt": call.attempt,
        }
        if step := CURRENT_STEP.get(None):
            place["step"] = step.step
    elif workflow.in_workflow():
        task = workflow.info()
        place = {
            "workflow_id": task.workflow_id,
            "run_id": task.run_id,
            "workflow": task.workflow_type,
            "attempt": task.attempt,
        }
    meta = {name: event[name] for name in ("_record", "_from_structlog")}
    return {**place, **kept, **meta}


def _with_trace(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if not _HAS_TRACES:
        return event
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
    return event


def _without_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Removes keys from everything that is about to be written: message, fields and tracebacks."""
    return {name: _clean(value, name) for name, value in event.items()}


def _clean(value: Any, name: str = "") -> Any:
    if value is None or isinstance(value, bool):
        return value
    if names_a_secret(name):
        return REDACTED
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _clean(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    return redacted(str(value))
