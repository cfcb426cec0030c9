"""Turns the compensations of the bundles into activities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import activity

from ..bundle.execution import execute
from ..bundle.function import Function
from ..bundle.registry import Registry


def bundled_compensations(registry: Registry) -> list[Callable[..., Any]]:
    """Returns one activity for each compensation of a bundle, named as it is registered."""
    names = [name for name in registry.catalog.compensations if name in registry.functions]
    return [_compensation(name, registry.functions[name]) for name in names]


def _compensation(name: str, function: Function) -> Callable[..., Any]:
    @activity.defn(name=name)
    async def undo(argument: Any) -> Any:
        return await execute(function, {function.parameters[0]: argument})

    return undo
