"""Backward activities: everything that undoes."""
