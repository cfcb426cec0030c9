"""What an MCP server says that it offers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class ForeignTool(BaseModel):
    """One tool as its server describes it.

    Attributes:
        name: The server's name for it.
        description: What the server says of it.
        input_schema: JSON Schema of the arguments.
        output_schema: JSON Schema of the structured result; None where there is none.
        read_only: The annotation ``readOnlyHint``; None where the server says nothing, or contradicts itself.
        is_twofold: Whether the server lists another tool by this name, too.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    description: str = ""
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] | None = None
    read_only: bool | None = None
    is_twofold: bool = False

    @property
    def result_schema(self) -> dict[str, Any]:
        """JSON Schema of what a task gets: the structured result where there is one, else text."""
        return {"type": "string"} if self.output_schema is None else self.output_schema

    def differs_from(self, other: ForeignTool) -> bool:
        """Returns whether its calls are other calls; models were told the description of the start."""
        same = ("input_schema", "output_schema", "read_only", "is_twofold")
        return any(getattr(self, field) != getattr(other, field) for field in same)


class Listing(BaseModel):
    """All that a server offers.

    Attributes:
        tools: Its tools by name.
        resources: The addresses of its resources and the templates of such, or None where it has none.
        prompts: The names of its prompts, or None where it has none.
    """

    model_config = ConfigDict(frozen=True)

    tools: dict[str, ForeignTool] = {}
    resources: tuple[str, ...] | None = None
    prompts: tuple[str, ...] | None = None
