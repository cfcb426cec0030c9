"""A bundle with a tool that is called like one of `desk`, and has an argument that LangChain uses itself."""

from __future__ import annotations

from counterstep import Bundle, Effect

alike = Bundle("alike")


@alike.tool(effect=Effect.READ_ONLY)
def look(config: str) -> str:
    """Looks elsewhere."""
    return config
