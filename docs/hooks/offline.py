"""Keeps the site readable without a network: no page loads anything from another host."""

from __future__ import annotations

import re
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

_LOADED: Final = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:https?:)?//[^"]*"|<link\b[^>]*\bhref="(?:https?:)?//[^"]*\""""
)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuses a page that does."""
    found = [found for found in _LOADED.findall(output) if 'rel="canonical"' not in found]
    if found:
        raise PluginError(f"{page.file.src_uri} loads from elsewhere: {found[0]}")
    return output
