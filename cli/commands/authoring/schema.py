"""``counterstep schema``: what a task spec looks like, for editors and clients in any language."""

from __future__ import annotations

from typing import Annotated

import typer

from ...terminal.output import emit


def schema(
    json: Annotated[bool, typer.Option("--json", help="It is JSON in any case.")] = True,
    limits: Annotated[bool, typer.Option("--limits", help="That of a limits file instead.")] = False,
) -> None:
    """Print the JSON Schema of a task spec."""
    if limits:
        from ....pool_limits.rules_file import rules_schema

        emit(rules_schema())
        return
    from ....saga.spec.task_spec import TaskSpec

    document = TaskSpec.model_json_schema(by_alias=True)
    emit({"$schema": "https://json-schema.org/draft/2020-12/schema", **document})
