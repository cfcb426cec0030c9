"""What a command says where the packages of its extra are not installed."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager

from ..errors import CommandFailed


@contextmanager
def needing(extra: str, who: str, packages: Set[str]) -> Iterator[None]:
    """Loads what needs an extra.

    Args:
        extra: Its name.
        who: Who needs it, as the beginning of a sentence in the singular.
        packages: What of it is loaded.

    Raises:
        CommandFailed: One of these is not there.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in packages:
            raise
        message = (
            f'{who} needs packages that are not there ({missing.name}): pip install "counterstep[{extra}]"'
        )
        raise CommandFailed(message, type="NotInstalled") from None
