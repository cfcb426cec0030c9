"""Runs agents that are processes, and takes their requests to the workflow of their run."""
