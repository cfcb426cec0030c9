"""Why an agent elsewhere has done nothing, or nobody knows whether it has."""

from __future__ import annotations

from ..saga.errors import CounterstepError


class RemoteAgentAway(CounterstepError):
    """An agent elsewhere does not answer; it may later."""


class RemoteAgentRefused(CounterstepError):
    """An agent elsewhere was not asked: its card is not there, is not ours to speak to, or is forged."""


class UnknownWhetherSent(CounterstepError):
    """A message may have reached an agent that tells nobody of its tasks, and may not be sent twice."""


class RemoteAgentFailed(CounterstepError):
    """An agent elsewhere has refused a request, or answers with what nobody can read."""
