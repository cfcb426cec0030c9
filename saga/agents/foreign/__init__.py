"""Agents that run as processes of their own: what their host and their workflow tell each other."""
