"""What options say in place of settings, for all commands that take both."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.settings import Settings, split_names
from ..errors import CommandFailed


def bundle_names(given: Sequence[str] | None, settings: Settings) -> tuple[str, ...]:
    """Returns the bundles of ``--bundle``, and then those of the settings, each only once."""
    return tuple(dict.fromkeys((*(given or ()), *settings.bundles)))


def model_names(given: str) -> tuple[str, ...]:
    """Returns the models that ``--model`` names.

    Raises:
        CommandFailed: One of the names is empty.
    """
    try:
        return tuple(split_names(given))
    except ValueError as error:
        raise CommandFailed(f"--model: {error}.") from None


def with_model(settings: Settings, given: str | None) -> Settings:
    """Returns settings with the models that ``--model`` names, where it names any; see `model_names`."""
    return settings if given is None else settings.model_copy(update={"model": model_names(given)})


def queue_asked_for(given: str | None, settings: Settings) -> str | None:
    """Returns the queue of ``--task-queue`` or of the settings; None where nobody has named one."""
    return given or (settings.task_queue if "task_queue" in settings.model_fields_set else None)
