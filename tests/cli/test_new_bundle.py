"""`counterstep new`: what it writes passes as it is, and bundles of installed packages are found by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from counterstep.cli.errors import CommandFailed
from counterstep.cli.operations.new_bundle import write_bundle
from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.processes.command import Shop

pytestmark = pytest.mark.long

PACKAGE = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "party-tools"
version = "1.0"

[project.entry-points."counterstep.bundles"]
party = "party_tools:party"
wreck = "party_tools:wreck"
inner = "party_tools:Inside.party [more]"
bare = "party_tools"

[tool.setuptools]
py-modules = ["party_tools"]
"""

MODULE = """
from counterstep import Bundle, Effect

party = Bundle("party")
wreck = 3


class Inside:
    party = party


@party.tool(effect=Effect.READ_ONLY)
def guests() -> int:
    return 7
"""


def test_a_new_bundle_is_written_once_and_runs_as_written(tmp_path: Path, server: EmbeddedServer) -> None:
    shop = Shop(tmp_path)
    made = shop.run("new", "pantry", "--json")
    files = [f"pantry/{name}" for name in ("pantry.py", "pantry.yaml", "test_pantry.py")]
    assert (made.code, made.json) == (0, {"files": files}), made.err
    texts = [(tmp_path / file).read_text() for file in files]
    again = shop.run("new", "pantry")
    assert again.code == 2
    assert again.err == f"{', '.join(files)} are there already; nothing was written.\n"
    assert [(tmp_path / file).read_text() for file in files] == texts
    # The printed commands, word for word.
    lines = [line.strip() for line in made.err.partition("What next:")[2].strip().splitlines()]
    assert (lines[0], lines[-1]) == ("cd pantry", "python -m pytest test_pantry.py")
    within = Shop(tmp_path / "pantry", {"TEMPORAL_ADDRESS": server.address})
    check, run = (line.split()[1:] for line in lines[1:-1])
    assert within.run(*check).err == "pantry.yaml: no faults\n"
    ended = within.run(*run, "--json")
    assert (ended.code, ended.json["output"]) == (0, {"reserved": {"item": "pen", "quantity": 2}}), ended.err
    assert (tmp_path / "pantry" / "pantry.sqlite").exists()


@pytest.mark.slow
def test_the_test_of_a_new_bundle_passes(tmp_path: Path) -> None:
    write_bundle("pantry", tmp_path)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_pantry.py"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout
    # And it notices an undo that does nothing.
    bundle = tmp_path / "pantry.py"
    bundle.write_text(bundle.read_text().replace("set state = 'released'", "set state = state"))
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert "1 failed" in done.stdout and "orphaned effect" in done.stdout, done.stdout


def test_a_new_bundle_is_written_in_the_house_style(tmp_path: Path) -> None:
    write_bundle("pantry", tmp_path)
    ruff = Path(sys.executable).with_name("ruff")
    options = ["--isolated", "--line-length=110", str(tmp_path)]
    for words in (["check", "--select=E,F,B,UP,SIM"], ["format", "--check"]):
        done = subprocess.run([ruff, *words, *options], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Pantry", "'Pantry' is not a bundle's name: those look like [a-z][a-z0-9_]*"),
        ("../pantry", "is not a bundle's name"),
        ("class", "are not words of Python"),
        ("null", "are not words of Python or of expressions"),
        ("a" * 65, "have at most 64 letters"),
        ("counterstep", "not counterstep"),
        ("json", "There is a module 'json' already, which hides this one; take another name."),
        ("sys", "There is a module 'sys' already"),
        ("reserve", "The new file uses the name 'reserve' itself; take another one."),
        ("closing", "The new file uses the name 'closing' itself"),
    ],
)
def test_a_name_that_cannot_be_used_writes_nothing(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(CommandFailed) as caught:
        write_bundle(name, tmp_path / "made")
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_one_file_that_is_there_keeps_all_from_being_written(tmp_path: Path) -> None:
    (tmp_path / "pantry.yaml").write_text("mine")
    with pytest.raises(CommandFailed, match=r"pantry\.yaml is there already; nothing was written"):
        write_bundle("pantry", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pantry.yaml"]
    assert (tmp_path / "pantry.yaml").read_text() == "mine"


def test_a_bundle_of_an_installed_package_is_named_and_never_picked_up(tmp_path: Path) -> None:
    source, installed = tmp_path / "source", tmp_path / "installed"
    source.mkdir()
    (source / "pyproject.toml").write_text(PACKAGE)
    (source / "party_tools.py").write_text(MODULE)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(installed)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    path = f"{Shop(folder).variables().get('PYTHONPATH', '')}:{installed}"
    shop = Shop(folder, {"PYTHONPATH": path})

    def catalog(*words: str, **variables: str) -> tuple[int, str]:
        done = shop.run_from_nothing("catalog", *words, **variables)
        return done.code, done.err

    for words, variables in (
        (["--bundle", "party"], {}),
        ([], {"COUNTERSTEP_BUNDLES": "party"}),
        (["--bundle", "inner"], {}),
    ):
        code, said = catalog(*words, **variables)
        assert code == 0 and "party.guests" in said, said
    assert catalog() == (2, "Name a bundle with --bundle or COUNTERSTEP_BUNDLES.\n")
    code, said = catalog("--bundle", "partie")
    assert (code, said) == (
        2,
        "Bundle 'partie': write it as module:attribute, e.g. shop.bundle:shop; no installed package offers a "
        "bundle of this name; did you mean 'party'?\n",
    )
    code, said = catalog("--bundle", "bare")
    told = "its package party-tools offers it as 'party_tools', and not as module:attribute"
    assert (code, said) == (2, f"Bundle 'bare': {told}\n")
    code, said = catalog("--bundle", "wreck")
    assert (code, said) == (2, "Bundle 'wreck': it is of type int, not a counterstep.Bundle\n")
