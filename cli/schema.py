"""``counterstep schema``: what a task spec looks like, for editors and clients in any language."""

from __future__ import annotations

from .output import emit


def schema() -> None:
    """Print the JSON Schema of a task spec."""
    from ..saga.spec import TaskSpec

    document = TaskSpec.model_json_schema(by_alias=True)
    emit({"$schema": "https://json-schema.org/draft/2020-12/schema", **document})
