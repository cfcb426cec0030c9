"""The blocks of the documentation: specs are specs, Python runs, commands take the options they are given."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import typer

from counterstep import Bundle
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.bundle.yaml_document import read_document
from counterstep.cli.app import app
from counterstep.pool_limits.rules_file import parse_rules
from counterstep.saga.errors import FailureType
from counterstep.saga.spec.checker import check_spec
from counterstep.saga.spec.task_spec import TaskSpec
from counterstep.tests.support.pages.pages import PAGES, ROOT, Block, blocks, words_of
from counterstep.tests.support.pages.reading import Reading

BLOCKS = [block for page in PAGES for block in blocks(page)]
LIMITS_FILE = "limits.yaml"
# Not ours, and known to whoever reads the page.
OTHERS = {".", "cp", "docker", "echo", "export", "kill", "node", "npm", "oauth2-proxy", "pip", "python"}
OTHERS.add("temporal")
# Those about frameworks need these; what they show is run by tests/frameworks.
WITH_PYTHON = [
    page
    for page in PAGES[1:]
    if any(block.language == "python" for block in blocks(page))
    and (page.parent.name != "adapters" or page.stem == "index")
]


def of_language(*languages: str) -> list[object]:
    return [pytest.param(block, id=block.place) for block in BLOCKS if block.language in languages]


def spec_of(block: Block) -> TaskSpec:
    """The spec of a block, which may be some steps only."""
    text = block.text
    if text.startswith("- "):
        text = f"name: some_steps\nsteps:\n{text}"
    return parse_spec(read_document(text, block.place))


@pytest.mark.parametrize("block", of_language("yaml"))
def test_a_spec_has_the_right_shape(block: Block) -> None:
    if block.file == LIMITS_FILE:
        assert parse_rules(read_document(block.text, block.place)).limits
    else:
        assert spec_of(block).steps


@pytest.mark.parametrize("block", of_language("sh", "console"))
def test_commands_exist_with_all_their_options(block: Block) -> None:
    program = typer.main.get_command(app)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in block.commands:
        words = words_of(command)
        if words[:1] == ["counterstep"]:
            context = program.make_context("counterstep", words[1:], resilient_parsing=False)
            name, found, rest = program.resolve_command(context, words[1:])  # type: ignore[attr-defined]
            assert found is not None, command
            found.make_context(name, list(rest), parent=context)
        elif words[:1] == ["make"]:
            assert words[1] in targets, command
        else:
            assert not words or words[0].rstrip("3") in OTHERS, command


# --- Python


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs_and_its_specs_have_no_faults(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Reading(tmp_path, monkeypatch)
    with reading.files(page):
        names = vars(reading.module("page"))
        for block in blocks(page):
            if block.language == "python" and block.file is not None:
                names.update(vars(importlib.import_module(block.file.removesuffix(".py"))))
            elif block.language == "python":
                exec(compile(block.text, block.place, "exec"), names)
        bundles = {value.name: value for value in names.values() if isinstance(value, Bundle)}
        catalog = Registry(bundles.values()).catalog
        for block in blocks(page):
            if block.language == "yaml" and block.file is not None:
                assert check_spec(spec_of(block), catalog) == [], block.place


# --- what the code says


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_page_is_in_the_navigation() -> None:
    navigation = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = [str(page.relative_to(ROOT / "docs")) for page in PAGES if page.name != "README.md"]
    assert sorted(navigation) == sorted(pages)


def test_every_type_of_failure_is_described() -> None:
    source = (ROOT / "saga" / "errors.py").read_text()
    for type_ in FailureType:
        assert re.search(rf'    {type_.name} = "{type_}"\n    """\w', source), type_
