"""Starts a new task from where another one was, without touching what that one did."""
