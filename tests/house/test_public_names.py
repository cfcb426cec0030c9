"""Which names are public, and that no others are used by who is outside."""

from __future__ import annotations

import ast
import importlib
import re

import pytest

from counterstep.tests.support.sources.sources import ROOT, nodes, sources, tree

PUBLIC = {
    "counterstep": [
        "A2AAgent",
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
        "Operation",
        "ProcessAgent",
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
        "EventRefused",
        "IdInUse",
        "JoinAnswer",
        "Line",
        "NoAnswer",
        "NoWorker",
        "NotForkable",
        "Outcome",
        "Publication",
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
        "TaskStart",
        "Undoing",
        "UnknownTask",
        "fork_task",
    ],
    "counterstep.plugin": ["CounterstepPlugin", "Webhook"],
    "counterstep.stock": ["HttpRequest", "HttpTool", "stock"],
    "counterstep.teams": [
        "Concurrent",
        "Debate",
        "GroupChat",
        "Handoff",
        "Intent",
        "Magentic",
        "MakerChecker",
        "MemberIf",
        "Mixture",
        "Person",
        "Planned",
        "Route",
        "Router",
        "SecondOpinion",
    ],
    "counterstep.testing.explore": ["NotExplorable", "Report", "explore"],
    "counterstep.testing.model_behaviour": ["Behaviour", "ScriptedCall", "call"],
    "counterstep.testing.model_server": ["ModelServer", "ReceivedRequest"],
    "counterstep.testing.server": ["temporal_server"],
}

NEED_A_FRAMEWORK = {
    "counterstep.adapters.langgraph": ["saga_tools"],
    "counterstep.adapters.openai_agents": ["saga_tools"],
    "counterstep.adapters.pydantic_ai": ["saga_tools"],
}
"""Here these are read and not loaded: their frameworks are not installed."""


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_of_a_module_are_these_and_each_says_what_it_is(module: str) -> None:
    found = importlib.import_module(module)
    assert sorted(found.__all__) == PUBLIC[module]
    assert [name for name in PUBLIC[module] if not getattr(found, name).__doc__] == []


@pytest.mark.parametrize("module", NEED_A_FRAMEWORK)
def test_the_public_names_of_an_adapter_are_these(module: str) -> None:
    source = tree(ROOT / f"{module.partition('.')[2].replace('.', '/')}.py")
    defined = {
        node.name: ast.get_docstring(node) for node in source.body if isinstance(node, ast.FunctionDef)
    }
    assigned = (node for node in source.body if isinstance(node, ast.Assign))
    offered = [ast.literal_eval(node.value) for node in assigned if ast.unparse(node.targets[0]) == "__all__"]
    assert offered == [NEED_A_FRAMEWORK[module]]
    assert all(defined[name] for name in NEED_A_FRAMEWORK[module])


def test_the_package_says_which_modules_are_public() -> None:
    text = importlib.import_module("counterstep").__doc__ or ""
    said = set(re.findall(r"`(counterstep\.[\w.]+)`", text))
    said |= {f"counterstep.testing.{name}" for name in re.findall(r"``\.(\w+)``", text)}
    assert said | {"counterstep"} == PUBLIC.keys() | NEED_A_FRAMEWORK.keys()


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
        for path in sources(folder)
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "counterstep"
        for alias in node.names
        if alias.name not in PUBLIC.get(node.module or "", ())
    ]
    assert private == []
