"""Agents that are programs of others."""
