"""The commands that start tasks."""
