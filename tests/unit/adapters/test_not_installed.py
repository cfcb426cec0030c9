"""An adapter whose framework is not there says in a sentence what to install."""

from __future__ import annotations

import importlib
import sys

import pytest

from counterstep.saga.errors import DefinitionError

NEEDS = {
    "pydantic_ai": ("pydantic_ai", 'pip install "pydantic-ai-slim[temporal]"'),
    "langgraph": ("langchain_core.tools", "pip install temporalio-langgraph"),
}


@pytest.mark.parametrize("adapter", NEEDS)
def test_a_framework_that_is_not_installed(adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    framework, install = NEEDS[adapter]
    monkeypatch.setitem(sys.modules, framework, None)  # as if it could not be found
    monkeypatch.delitem(sys.modules, f"counterstep.adapters.{adapter}", raising=False)
    with pytest.raises(DefinitionError) as caught:
        importlib.import_module(f"counterstep.adapters.{adapter}")
    assert str(caught.value).startswith(f"counterstep.adapters.{adapter} needs ")
    assert str(caught.value).endswith(install) and "\n" not in str(caught.value)
