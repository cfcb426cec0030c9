"""Turns the tools, Python agents and validators of the bundles into activities."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from ..bundle.execution import execute
from ..bundle.function import Function
from ..bundle.raised import as_application_error
from ..bundle.registry import Registry
from ..saga.duration import format_duration
from ..saga.errors import FailureType
from ..saga.failure import trim
from ..saga.verdict import FAST_LIMIT

MAX_VERDICT = 200_000
"""Bytes of one verdict: twenty reasons of 500 characters, and room for how JSON writes them."""


def bundled_activities(registry: Registry) -> list[Callable[..., Any]]:
    """Returns one activity for each tool, Python agent and validator of the bundles' own functions."""
    catalog = registry.catalog
    made = [_by_name(name, registry.functions[name]) for name in catalog.tools if name in registry.functions]
    for name, agent in catalog.agents.items():
        if agent.python and name in registry.functions:
            make = _by_object if agent.whole_input else _by_name
            made.append(make(name, registry.functions[name]))
    made += [_validator(n, registry.functions[n], fast=v.fast) for n, v in catalog.validators.items()]
    return made


def _validator(name: str, function: Function, *, fast: bool) -> Callable[..., Any]:
    """Makes an activity that limits itself, because nothing else limits a validator that runs locally."""

    @activity.defn(name=name)
    async def call(subject: Any) -> Any:
        judging = execute(function, {function.parameters[0]: subject})
        try:
            answer = await (_quickly(judging) if fast else judging)
        except Exception as error:
            raise _small(error).with_traceback(error.__traceback__) from None
        if len(json.dumps(answer)) > MAX_VERDICT:
            raise _final(FailureType.PAYLOAD_TOO_LARGE, f"its verdict has more than {MAX_VERDICT} bytes")
        return answer

    return call


async def _quickly(judging: Coroutine[Any, Any, Any]) -> Any:
    """Awaits a fast validator for as long as it may take; a thread that takes longer cannot be stopped."""
    task = asyncio.create_task(judging)
    done, _ = await asyncio.wait([task], timeout=FAST_LIMIT.total_seconds())
    if not done:
        task.cancel()
        raise _final(FailureType.TIMEOUT, f"took longer than {format_duration(FAST_LIMIT)}")
    return task.result()


def _by_name(name: str, function: Function) -> Callable[..., Any]:
    """Makes an activity whose argument is an object that holds the function's arguments by name."""

    @activity.defn(name=name)
    async def call(arguments: Any) -> Any:
        return await execute(function, arguments)

    return call


def _by_object(name: str, function: Function) -> Callable[..., Any]:
    """Makes an activity whose argument is the function's only argument."""

    @activity.defn(name=name)
    async def call(argument: Any) -> Any:
        return await execute(function, {function.parameters[0]: argument})

    return call


def _small(error: Exception) -> ApplicationError:
    known = as_application_error(error)
    return ApplicationError(trim(known.message), type=known.type, non_retryable=known.non_retryable)


def _final(type_: FailureType, message: str) -> ApplicationError:
    return ApplicationError(message, type=type_, non_retryable=True)
