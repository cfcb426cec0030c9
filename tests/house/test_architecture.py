"""The laws of the house that can be read off the sources; the import contracts are in pyproject.toml."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import counterstep
from counterstep.tests.support.sources.sources import OUTSIDE, ROOT, nodes, package_sources, sources, tree

OPEN_TO_EXAMPLES = {
    "counterstep.plugin",
    "counterstep.teams",
    "counterstep.testing",
    "counterstep.testing.model_behaviour",
    "counterstep.testing.model_server",
}
LONGEST_MODULE = 350
MOST_FILES = 20

HEAVY = [
    "litellm",
    "openai",
    "mcp",
    "aiohttp",
    "temporalio.worker",
    "temporalio.client",
    "counterstep.plugin",
]

SHOP = """
from pydantic import BaseModel
from counterstep import Agent, Bundle, Undo

shop = Bundle("shop", stand_in=True)

class Answer(BaseModel):
    text: str

@shop.tool(compensate="give_back")
def take(what: str) -> Answer: ...

@shop.compensation
def give_back(undo: Undo[Answer]) -> None: ...

shop.add(Agent(name="buyer", description="Buys.", instructions="Buy.", tools=[take], output=Answer))
"""
ORDER = """
name: order
goal: Something is bought.
steps:
  - id: buy
    agent: shop.buyer
    input: {what: "${{ task.what }}"}
    validate: [{rule: output.text != '', message: empty}]
output: {answer: "${{ steps.buy.output }}"}
"""

# Whatever a workflow takes from outside the history differs when it is replayed.
NONDETERMINISTIC_MODULES = {
    "os",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "time",
}
NONDETERMINISTIC_CALLS = {
    ("date", "today"),
    ("datetime", "now"),
    ("datetime", "today"),
    ("datetime", "utcnow"),
    ("uuid", "uuid1"),
    ("uuid", "uuid4"),
}


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', '?')}"


def definitions(source: ast.Module, kind: str) -> list[ast.AST]:
    """Where ``workflow.defn`` or ``activity.defn`` is used, or imported under a name of its own."""
    return [
        node
        for node in ast.walk(source)
        if (isinstance(node, ast.Attribute) and ast.unparse(node).endswith(f"{kind}.defn"))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == f"temporalio.{kind}"
            and any(alias.name == "defn" for alias in node.names)
        )
    ]


def imported_modules(node: ast.AST) -> list[str]:
    """The modules one statement imports by absolute names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module]
    return []


@pytest.mark.parametrize(
    ("kind", "homes"), [("workflow", {"workflows"}), ("activity", {"activities", "compensations"})]
)
def test_the_decorator_tells_the_folder(kind: str, homes: set[str]) -> None:
    elsewhere = [
        place(path, node)
        for path in package_sources()
        if path.relative_to(ROOT).parts[0] not in homes
        for node in definitions(tree(path), kind)
    ]
    assert elsewhere == []
    for home in homes:
        assert any(definitions(tree(path), kind) for path in sources(home)), f"{home}/ defines no {kind}"


@pytest.mark.parametrize(
    "written",
    [
        "@workflow.defn\nclass A: ...",
        "@temporalio.workflow.defn(name='a')\nclass A: ...",
        "A = workflow.defn(B)",
        "from temporalio.workflow import defn",
    ],
)
def test_a_decorator_is_seen_however_it_is_written(written: str) -> None:
    assert len(definitions(ast.parse(written), "workflow")) == 1
    assert definitions(ast.parse(written), "activity") == []


@pytest.mark.parametrize("module", ["counterstep", "counterstep.workflows"])
def test_what_is_imported_everywhere_is_light(module: str) -> None:
    script = f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def loaded_by(*words: str, cwd: Path = ROOT) -> set[str]:
    """The modules that a command line loads until it ends."""
    run = [sys.executable, "-X", "importtime", "-c", "from counterstep.cli import main; main()", *words]
    done = subprocess.run(run, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr[-2000:]
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_the_help_of_the_command_line_loads_next_to_nothing() -> None:
    loaded = loaded_by("--help")
    assert {"counterstep.cli.commands.starting.run", "counterstep.cli.commands.explore"} <= loaded
    heavy = {
        "asyncio",
        "counterstep.saga.expressions.cel",
        "jsonschema",
        "litellm",
        "pydantic",
        "rich",
        "temporalio",
        "yaml",
    }
    assert loaded & heavy == set()


def test_a_check_loads_what_it_reads_with_and_no_temporal(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "order.yaml").write_text(ORDER)
    loaded = loaded_by("check", "order.yaml", "--bundle", "shop:shop", cwd=tmp_path)
    assert {"counterstep.saga.spec.checker", "counterstep.saga.expressions.cel", "yaml", "pydantic"} <= loaded
    # The last two come with the command line of the package `cel`, which nobody calls.
    heavy = {"litellm", "temporalio", "prompt_toolkit", "rich"}
    assert loaded & heavy == set()


def test_each_public_name_is_loaded_from_where_its_type_is() -> None:
    typed = {
        alias.name: node.module
        for node in nodes(ROOT / "__init__.py")
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    assert typed == counterstep._HOMES  # type: ignore[attr-defined]
    assert set(counterstep.__all__) <= set(dir(counterstep))
    with pytest.raises(AttributeError, match="no attribute 'Sage'"):
        counterstep.Sage  # type: ignore[attr-defined]  # noqa: B018


def test_no_module_of_the_package_is_imported_by_a_second_name() -> None:
    own = {path.stem if path.is_file() else path.name for path in ROOT.iterdir()} - OUTSIDE
    own &= {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in package_sources()}
    assert {"saga", "workflows", "plugin"} <= own
    second = [
        f"{place(path, node)} imports {name}"
        for path in sources()
        for node in nodes(path)
        for name in imported_modules(node)
        if name.partition(".")[0] in own
    ]
    assert second == []


def test_imports_inside_the_package_are_relative() -> None:
    absolute = [
        place(path, node)
        for path in package_sources()
        if path.name != "worker.py"
        for node in nodes(path)
        if any(name.partition(".")[0] == "counterstep" for name in imported_modules(node))
    ]
    assert absolute == []


def test_examples_import_only_the_public_api() -> None:
    private = [
        f"{place(path, node)} imports {name}"
        for path in sources("examples")
        for node in nodes(path)
        for name in imported_modules(node)
        if name.startswith("counterstep.") and name not in OPEN_TO_EXAMPLES
    ]
    assert private == []


def test_a_module_is_one_noun_long() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in package_sources()}
    assert {path: length for path, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_a_folder_has_at_most_twenty_files() -> None:
    """Of what a person reads; recorded histories and pictures are data."""
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [Path(line) for line in tracked.stdout.splitlines() if (ROOT / line).is_file()]
    files = Counter(
        path.parent for path in paths if path.suffix in {".py", ".md"} and path.name != "__init__.py"
    )
    assert {folder: number for folder, number in files.items() if number > MOST_FILES} == {}


def test_no_class_name_is_there_twice() -> None:
    places: dict[str, list[str]] = {}
    for path in package_sources():
        for node in nodes(path):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(place(path, node))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_test_imports_another() -> None:
    """What tests share is in tests/support."""
    support = ROOT / "tests" / "support"
    elsewhere = [
        f"{place(path, node)} imports {name}"
        for path in sources("tests")
        for node in nodes(path)
        for name in imported_modules(node)
        if f"{name}.".startswith("counterstep.tests.") and not name.startswith("counterstep.tests.support.")
    ]
    relative = [
        f"{place(path, node)} imports its neighbour"
        for path in sources("tests")
        if not path.is_relative_to(support)
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert elsewhere + relative == []


def test_only_the_command_line_prints() -> None:
    printing = [
        place(path, node)
        for path in package_sources()
        if path.relative_to(ROOT).parts[0] != "cli"
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_what_runs_in_a_workflow_takes_nothing_from_the_machine() -> None:
    taken = [
        place(path, node)
        for path in sources("saga", "workflows")
        for node in nodes(path)
        if NONDETERMINISTIC_MODULES & {name.partition(".")[0] for name in imported_modules(node)}
        or (
            isinstance(node, ast.Attribute)
            and (ast.unparse(node.value).rpartition(".")[2], node.attr) in NONDETERMINISTIC_CALLS
        )
        or (
            isinstance(node, ast.ImportFrom)
            and any((node.module, alias.name) in NONDETERMINISTIC_CALLS for alias in node.names)
        )
    ]
    assert taken == []
