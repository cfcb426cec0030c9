"""Reads a command line: its options and values, and the task and the server that it names."""
