"""The tasks of a pool as an A2A agent, for agents of others; loaded by its command only."""
