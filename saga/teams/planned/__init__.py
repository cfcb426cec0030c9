"""Planned: a job in parts that a planner has thought of and validators have checked."""
