"""Runs a task from its spec."""
