"""A real Temporal server for tests, thrown away afterwards."""

from __future__ import annotations

from ..embedded.throw_away import temporal_server

__all__ = ["temporal_server"]
