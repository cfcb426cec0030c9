"""Tells others of changes: where to, what was told, and the sending."""
