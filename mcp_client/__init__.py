"""The tools of MCP servers, as tools with effects: what is declared, what is offered, and the connections."""
