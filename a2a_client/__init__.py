"""Agents elsewhere that speak A2A: their cards, and their tasks."""
