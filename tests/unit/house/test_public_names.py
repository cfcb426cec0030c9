"""Which names are public, and that no others are used by who is outside."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PUBLIC = {
    "counterstep": [
        "Agent",
        "Approval",
        "Asking",
        "Budget",
        "Bundle",
        "CounterstepError",
        "Decision",
        "DefinitionError",
        "Effect",
        "McpServer",
        "NotApplied",
        "Retraction",
        "Saga",
        "SpecError",
        "Subject",
        "Undo",
        "Verdict",
        "current_step",
    ],
    "counterstep.client": [
        "Answered",
        "Asked",
        "Board",
        "Decided",
        "IdInUse",
        "Line",
        "NoAnswer",
        "NoWorker",
        "Outcome",
        "Refused",
        "StepBoard",
        "Task",
        "TaskCancelled",
        "TaskClient",
        "TaskEnded",
        "TaskFailed",
        "TaskRefused",
        "TaskRollbackIncomplete",
        "TaskRolledBack",
        "Undoing",
        "UnknownTask",
    ],
    "counterstep.plugin": ["CounterstepPlugin", "Webhook"],
    "counterstep.stock": ["HttpRequest", "HttpTool", "stock"],
    "counterstep.teams": [
        "Concurrent",
        "Debate",
        "GroupChat",
        "Handoff",
        "Magentic",
        "MakerChecker",
        "Mixture",
        "Person",
        "Route",
        "Router",
        "SecondOpinion",
    ],
    "counterstep.testing.explore": ["NotExplorable", "Report", "explore"],
    "counterstep.testing.model_behaviour": ["Behaviour", "ScriptedCall", "call"],
    "counterstep.testing.model_server": ["ModelServer", "ReceivedRequest"],
    "counterstep.testing.server": ["temporal_server"],
}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_of_a_module_are_these_and_each_says_what_it_is(module: str) -> None:
    found = importlib.import_module(module)
    assert sorted(found.__all__) == PUBLIC[module]
    assert [name for name in PUBLIC[module] if not getattr(found, name).__doc__] == []


def test_the_package_says_which_modules_are_public() -> None:
    text = importlib.import_module("counterstep").__doc__ or ""
    said = set(re.findall(r"`(counterstep\.[\w.]+)`", text))
    said |= {f"counterstep.testing.{name}" for name in re.findall(r"``\.(\w+)``", text)}
    assert said | {"counterstep"} == PUBLIC.keys()


def test_the_reference_documents_public_names_only() -> None:
    documented = []
    for block in (ROOT / "docs" / "reference" / "python.md").read_text().split("\n::: ")[1:]:
        name, _, rest = block.partition("\n")
        listed = rest.partition("members:")[2].partition("\n\n")[0].replace("false", "")  # none of them
        members = re.findall(r"\w+", listed)
        module, _, last = (name, "", "") if members else name.rpartition(".")
        documented += [(module, member) for member in members or [last]]
    assert len(documented) > 30
    assert [(module, name) for module, name in documented if name not in PUBLIC.get(module, ())] == []


@pytest.mark.parametrize("folder", ["examples"])
def test_who_is_outside_uses_public_names_only(folder: str) -> None:
    private = [
        f"{path.relative_to(ROOT)}:{node.lineno} imports {node.module}.{alias.name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "counterstep"
        for alias in node.names
        if alias.name not in PUBLIC.get(node.module or "", ())
    ]
    assert private == []
