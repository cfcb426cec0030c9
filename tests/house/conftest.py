"""What the tests of the house share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from counterstep.tests.support.sources.sources import tree


@pytest.fixture(scope="module", autouse=True)
def sources_are_forgotten() -> Iterator[None]:
    """A million nodes slow down the tests that come after them in this process."""
    yield
    tree.cache_clear()
