"""The tasks of a pool as MCP tools, for IDEs and agents of others; loaded by its command only."""
