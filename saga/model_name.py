"""Names of models, as litellm writes them."""

from __future__ import annotations


def plain_model(name: str) -> str:
    """Returns a model's name without its providers, e.g. ``gpt-5`` for ``openrouter/openai/gpt-5``.

    The same model under another provider's name is still the same model: it must not judge itself.
    """
    return name.rpartition("/")[2].lower()
