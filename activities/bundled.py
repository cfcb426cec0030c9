"""Makes activities of the tools, Python agents and validators of the bundles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import activity

from ..bundle.execution import execute
from ..bundle.function import Function
from ..bundle.registry import Registry


def bundled_activities(registry: Registry) -> list[Callable[..., Any]]:
    """Returns one activity for each tool, Python agent and validator, named as it is registered."""
    catalog = registry.catalog
    made = [_by_name(name, registry.functions[name]) for name in catalog.tools]
    for name, agent in catalog.agents.items():
        if agent.python:
            make = _by_object if agent.whole_input else _by_name
            made.append(make(name, registry.functions[name]))
    made += [_by_object(name, registry.functions[name]) for name in catalog.validators]
    return made


def _by_name(name: str, function: Function) -> Callable[..., Any]:
    """An activity whose argument is an object of arguments by name."""

    @activity.defn(name=name)
    async def call(arguments: Any) -> Any:
        return await execute(function, arguments)

    return call


def _by_object(name: str, function: Function) -> Callable[..., Any]:
    """An activity whose argument is the function's only one."""

    @activity.defn(name=name)
    async def call(argument: Any) -> Any:
        return await execute(function, {function.parameters[0]: argument})

    return call
