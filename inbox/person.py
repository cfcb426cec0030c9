"""Who is signed in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who may answer.

    Attributes:
        name: How the person is named in the log of a task.
        roles: The roles that a signed decision names.
    """

    name: str
    roles: tuple[str, ...] = ()
