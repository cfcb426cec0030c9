"""Names of what bundles register, and of models; which of the known ones somebody meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def plain_model(name: str) -> str:
    """Returns a model's name without its providers, e.g. ``gpt-5`` for ``openrouter/openai/gpt-5``.

    The same model under another provider's name is still the same model: it must not judge itself.
    """
    return name.rpartition("/")[2].lower()


NAME_ATTRIBUTE = "__counterstep_name__"
"""Set on all that a bundle registers: its full name, ``BUNDLE.FUNCTION``."""

_LONGEST = 200
_SHOWN = 8


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns ``; did you mean 'x'?`` for the nearest known name, else what there is."""
    options = sorted(set(known))
    near = get_close_matches(name[:_LONGEST], options, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    if len(options) < 2:
        return f"; there is only {options[0]}" if options else "; there are none"
    more = f" and {len(options) - _SHOWN} more" if len(options) > _SHOWN else ""
    return f"; there are {', '.join(options[:_SHOWN])}{more}"
