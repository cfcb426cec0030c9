"""Requests to models that a process has written, and that are sent as they are."""
