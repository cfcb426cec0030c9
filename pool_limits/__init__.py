"""Limits, reservations and circuit breakers that the workers of a pool share, in memory or in Redis."""
