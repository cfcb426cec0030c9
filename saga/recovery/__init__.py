"""Undoes, in a workflow of its own, what a task that was ended by force has left behind."""
